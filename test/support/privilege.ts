/** Live tests need root. Without it they are skipped with a word; where CI is set they fail, so that nothing is skipped unseen. */
import type { TestContext } from 'node:test'

/** False when the test has been skipped: return at once. */
export function requireRoot(t: TestContext): boolean {
  if (process.getuid?.() === 0) return true
  const message = 'needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW)'
  if (process.env.CI) throw new Error(`${t.name} ${message}, and CI does not skip`)
  t.skip(message)
  return false
}
