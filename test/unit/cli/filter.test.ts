import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { filterText } from '#src/cli/filter-text.js'
import { UsageError } from '#src/cli/usage-error.js'
import { compileFilter } from '#src/index.js'

const MAIN = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'ringtap-filter-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function filter(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'filter', ...argv], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

test('prints the program as tcpdump -d, -dd and -ddd do', (t) => {
  const ours = ['-d', '-dd', '-ddd'].map((letters) => filter(letters, '-y', 'EN10MB', '-s', '96', 'udp', 'dst port 53').stdout)
  const { instructions } = compileFilter('udp dst port 53', { snapLengthBytes: 96 })
  assert.equal(ours[2], `${instructions.length}\n${instructions.map((row) => row.join(' ')).join('\n')}\n`)
  assert.equal(filter('-s96', 'udp dst port 53').stdout, ours[0])
  const tcpdump = (letters: string) => spawnSync('tcpdump', [letters, '-y', 'EN10MB', '-s', '96', 'ip and ip broadcast'], { encoding: 'utf8' })
  if (tcpdump('-d').error !== undefined) return t.skip('no tcpdump')
  for (const letters of ['-d', '-dd', '-ddd']) assert.equal(filter(letters, '-s', '96', 'ip and ip broadcast').stdout, tcpdump(letters).stdout)
})

test('a link type, in any case; an unknown one is a usage error with those that there are', () => {
  assert.equal(filter('-y', 'raw', 'udp').stdout, compileFilter('udp', { linkType: 'RAW' }).toString())
  const { status, stdout, stderr } = filter('-y', 'IEEE802_11', 'udp')
  assert.deepEqual([status, stdout], [2, ''])
  assert.match(stderr, /^ringtap: Expected the option --link-type to be one .* IEEE802_11 .*\n {2}link types: .*EN10MB/)
})

test('--explain and --ebpf print instead of the program, and with -d after it', () => {
  const compiled = compileFilter('udp port 53')
  const sentences = `${compiled.explain().join('\n')}\n`
  assert.equal(filter('--explain', 'udp port 53').stdout, sentences)
  assert.equal(filter('--ebpf', 'udp port 53').stdout, compiled.toEbpf())
  assert.equal(filter('-d', '--explain', '--ebpf', 'udp port 53').stdout, compiled.toString() + compiled.toEbpf() + sentences)
})

test('--json is one document', () => {
  const document = JSON.parse(filter('--json', '--ebpf', 'udp').stdout) as Record<string, unknown>
  const { instructions, explain, toEbpf } = compileFilter('udp')
  assert.deepEqual(document, {
    type: 'filter',
    text: 'udp',
    linkType: 'EN10MB',
    instructions,
    explanation: explain(),
    ebpf: toEbpf().trimEnd().split('\n'),
  })
  const failed = filter('--json', 'udp and')
  assert.equal((JSON.parse(failed.stdout) as { code: string }).code, 'INVALID_FILTER')
})

test('names are those of the system', () => {
  assert.equal(filter('host', 'localhost', 'and', 'ip').status, 0)
  assert.equal(filter('udp port domain').stdout, compileFilter('udp port 53').toString())
})

test('an error is a line, then the expression with carets; exit status 2, nothing on stdout', () => {
  assert.deepEqual(filter('arp', 'or', 'tcp', 'port', 'htpp'), {
    status: 2,
    stdout: '',
    stderr: "ringtap: unknown port 'htpp'\n  arp or tcp port htpp\n                  ^^^^\n",
  })
  assert.deepEqual(filter('ip and arp'), {
    status: 2,
    stdout: '',
    stderr: 'ringtap: expression rejects all packets\n  ip and arp\n  ^^^^^^^^^^\n',
  })
  assert.match(filter().stderr, /^ringtap: which filter\?/)
})

test('-F reads a file, without its comments; not with words as well', () => {
  const path = file('dns', '# DNS\nudp # not tcp\n  port 53\n')
  assert.equal(filter('-F', path).stdout, compileFilter('udp port 53').toString())
  assert.equal(filterText(path, []), '     \nudp          \n  port 53')
  assert.equal(filterText(undefined, ['udp', 'port', '53']), 'udp port 53')
  assert.equal(filterText(undefined, []), undefined)
  assert.throws(() => filterText(path, ['arp']), UsageError)
  assert.throws(() => filterText(join(folder, 'nosuch'), []), /-F: ENOENT/)
  const wrong = filter('-F', file('wrong', 'arp or\ntcp port httpp\n'))
  assert.deepEqual([wrong.status, wrong.stderr], [2, "ringtap: unknown port 'httpp'\n  tcp port httpp\n           ^^^^^\n"])
})
