import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { generalHelp } from '#src/cli/help.js'

const ROOT = new URL('../../../../', import.meta.url)
const MAIN = fileURLToPath(new URL('dist/cli/main.js', ROOT))
const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as { version: string }

function ringtap(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...argv], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

test('--version', () => {
  assert.deepEqual(ringtap('--version'), { status: 0, stdout: `ringtap ${version}\n`, stderr: '' })
})

test('--help goes to stdout', () => {
  assert.deepEqual(ringtap('--help'), { status: 0, stdout: generalHelp(version), stderr: '' })
  assert.match(ringtap('help', 'capture').stdout, /^Usage: ringtap capture -i IFACE/)
  assert.equal(ringtap('capture', '--help').stdout, ringtap('help', 'capture').stdout)
})

test('usage errors: one line, a hint, exit status 2, nothing on stdout', () => {
  const cases: [argv: string[], stderr: string][] = [
    [
      [],
      'ringtap: which command?\n  one of capture, interfaces, rate, count, filter, flood, read, replay, doctor, tune, size, bench; ringtap --help says more\n',
    ],
    [['captrue'], "ringtap: there is no command 'captrue'\n  did you mean ringtap capture?\n"],
    [['capture', '-i', 'lo', '--block-timeout', '60MB'], "ringtap: --block-timeout: expected a duration such as 60ms or 2s, got '60MB'\n"],
    [['capture', '-i', 'lo', '--rign', '1M'], 'ringtap: ringtap capture has no option --rign\n  did you mean --ring?\n'],
    [['capture'], 'ringtap: which interface? -i IFACE is missing\n  ringtap interfaces lists them\n'],
    [['rate'], 'ringtap: which interface? -i IFACE is missing\n  ringtap interfaces lists them\n'],
    [['count'], 'ringtap: which interface? -i IFACE is missing\n  ringtap interfaces lists them\n'],
    [['tune'], 'ringtap: ringtap tune: what is to be done?\n  ringtap tune show ..., or plan, apply, revert\n'],
    [['tune', '-i', 'lo', 'aply'], "ringtap: ringtap tune does not know 'aply'\n  did you mean ringtap tune apply?\n"],
    [['tune', 'plan'], 'ringtap: which interface? -i IFACE is missing\n  ringtap interfaces lists them\n'],
    [['tune', 'plan', '-i', 'lo', 'udp'], "ringtap: ringtap tune takes options only, got 'udp'\n  ringtap tune --help lists the options\n"],
    [['flood'], 'ringtap: which interface? -i VETH is missing\n  ringtap interfaces lists them\n'],
    [
      ['capture', '-i', 'nosuch', 'udp', 'and', 'port'],
      'ringtap: syntax error: expected an identifier, the expression ends\n  udp and port\n              ^\n',
    ],
    [['capture', '-i', 'lo', '-F', '/', 'udp'], "ringtap: -F / and 'udp' are two filters\n  give one of them\n"],
  ]
  for (const [argv, stderr] of cases) assert.deepEqual(ringtap(...argv), { status: 2, stdout: '', stderr }, argv.join(' '))
})

test('a stack only with RINGTAP_DEBUG=1', () => {
  const env = { ...process.env, RINGTAP_DEBUG: '1' }
  const { stderr } = spawnSync(process.execPath, [MAIN, 'captrue'], { encoding: 'utf8', env })
  assert.match(stderr, /^ringtap: there is no command 'captrue'\n {2}did you mean ringtap capture\?\nUsageError: .*\n {4}at /)
  assert.doesNotMatch(ringtap('captrue').stderr, / {4}at /)
})

test('stdout that cannot be written to is an error, and one that nobody reads is none', () => {
  const full = spawnSync('sh', ['-c', `"${process.execPath}" "${MAIN}" --help > /dev/full`], { encoding: 'utf8' })
  assert.equal(full.status, 1)
  assert.match(full.stderr, /^ringtap: writing to stdout failed: ENOSPC/)
  const closed = spawnSync('bash', ['-c', `"${process.execPath}" "${MAIN}" help capture | true; echo \${PIPESTATUS[0]}`], { encoding: 'utf8' })
  assert.deepEqual([closed.stdout, closed.stderr], ['0\n', ''])
})

test('the library is loaded by the commands that need it, and by nothing else', () => {
  const isLoaded = (...argv: string[]) => {
    const script = `await import(${JSON.stringify(MAIN)}); console.error(process.report.getReport().sharedObjects.some((name) => name.includes('koffi')))`
    return spawnSync(process.execPath, ['--input-type=module', '-e', script, '--', 'ringtap', ...argv], { encoding: 'utf8' })
      .stderr.trim()
      .endsWith('true')
  }
  assert.equal(isLoaded('--version'), false)
  assert.equal(isLoaded('capture', '--rign'), false)
  assert.equal(isLoaded('capture', '-i', 'nosuch'), true)
})
