/** Texts that are compared whole, with a file beside the test's source. UPDATE_GOLDEN=1 writes them anew. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.resolve('#src/index.js'))

/** `path` is relative to test/. */
export function assertGolden(path: string, lines: readonly string[]): void {
  const file = fileURLToPath(new URL(`test/${path}`, root))
  const text = `${lines.join('\n')}\n`
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  assert.equal(text, readFileSync(file, 'utf8'))
}
