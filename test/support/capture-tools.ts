/** What others make of a capture file: tshark, capinfos, tcpdump, editcap. Where one is missing the test is skipped, and fails where CI is set. */
import { execFileSync, spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'

/** False when the test has been skipped: return at once. */
export function requireTools(t: TestContext, ...tools: string[]): boolean {
  const missing = tools.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
  if (missing.length === 0) return true
  const message = `needs ${missing.join(', ')}`
  if (process.env.CI) throw new Error(`${t.name} ${message}, and CI does not skip`)
  t.skip(message)
  return false
}

const MAX_BUFFER = 256 * 1024 * 1024

/** Fields of each packet by tshark; it must end without a complaint. */
export function tsharkFields(path: string, ...fields: string[]): string[][] {
  const options = fields.flatMap((field) => ['-e', field])
  const { status, stdout, stderr } = spawnSync('tshark', ['-n', '-r', path, '-T', 'fields', '-E', 'occurrence=a', ...options], {
    encoding: 'utf8',
    maxBuffer: MAX_BUFFER,
  })
  const complaints = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Running as user'))
  if (status !== 0 || complaints.length > 0) throw new Error(`tshark -r ${path}: ${complaints.join('\n')}`)
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'))
}

/** What capinfos says, by its keys; it fails where it finds the file damaged. */
export function capinfos(path: string): string {
  return execFileSync('capinfos', ['-M', path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Seconds with their fraction, and captured length, of each packet by tcpdump. */
export function tcpdumpLines(path: string): string[] {
  const options = ['-r', path, '-n', '-tt', '-e', '--time-stamp-precision=nano', '--count']
  const { status, stdout, stderr } = spawnSync('tcpdump', options, { encoding: 'utf8', maxBuffer: MAX_BUFFER })
  if (status !== 0) throw new Error(`tcpdump -r ${path}: ${stderr}`)
  return stdout.split('\n').slice(0, -1)
}
