import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from '#src/cli/parse.js'
import { missingFile, precisionOf, readPlan, textOptions } from '#src/cli/read-plan.js'
import { UsageError } from '#src/cli/usage-error.js'

const THERE = new Set(['a.pcap', 'b.pcap', 'tcp'])

function parsed(argv: readonly string[]) {
  const invocation = parseArguments(['read', ...argv])
  assert.ok(invocation.run === 'read')
  return invocation
}

function plan(...argv: string[]) {
  const { values, words, beforeDashes } = parsed(argv)
  return readPlan(values, words, beforeDashes, (path) => THERE.has(path))
}

function refused(argv: string[], message: RegExp): void {
  assert.throws(
    () => plan(...argv),
    (error) => error instanceof UsageError && message.test(error.message),
    argv.join(' '),
  )
}

test('the first word is a file, those behind it that are files as well, the rest is the filter', () => {
  assert.deepEqual(plan('nosuch.pcap'), { files: ['nosuch.pcap'], filter: undefined, what: 'print' })
  assert.deepEqual(plan('a.pcap', 'b.pcap', 'udp', 'port', '53'), { files: ['a.pcap', 'b.pcap'], filter: 'udp port 53', what: 'print' })
  assert.deepEqual(plan('-', 'a.pcap', '-c', '5', 'udp'), { files: ['-', 'a.pcap'], filter: 'udp', what: 'print' })
  assert.deepEqual(plan('a.pcap', 'udp', 'b.pcap').filter, 'udp b.pcap')
})

test('a word of the filter that looks like a file and is none', () => {
  const missing = (...words: string[]) => missingFile(words, (path) => THERE.has(path))
  for (const word of ['nofile.pcap', 'old.PCAPNG.gz', 'out.pcap3', 'folder/trace', './x', '/tmp/x']) assert.equal(missing('a.pcap', word), word)
  for (const word of ['tcp', '10.0.0.0/8', '2001:db8::/32', '/', 'len / 2', 'ip[8]/2', 'tcp.port']) assert.equal(missing('a.pcap', word), undefined, word)
})

test('a file whose name is a word of filters, and how to say what is meant', () => {
  assert.deepEqual(plan('a.pcap', 'tcp').files, ['a.pcap', 'tcp'])
  assert.deepEqual(plan('a.pcap', '--', 'tcp'), { files: ['a.pcap'], filter: 'tcp', what: 'print' })
  assert.deepEqual(plan('-r', 'a.pcap', 'tcp'), { files: ['a.pcap'], filter: 'tcp', what: 'print' })
  assert.deepEqual(plan('-r', 'a.pcap', '--read=b.pcap', '--', '-1', '<', 'len'), { files: ['a.pcap', 'b.pcap'], filter: '-1 < len', what: 'print' })
})

test('what is asked for', () => {
  assert.equal(plan('a.pcap', '--count', '--json').what, 'count')
  assert.equal(plan('a.pcap', '--info').what, 'info')
  assert.equal(plan('a.pcap', '--json').what, 'json')
  assert.equal(plan('a.pcap', '-w', 'c.pcap', '--json').what, 'write')
  refused([], /which file/)
  refused(['--', 'udp'], /which file/)
  refused(['a.pcap', '--count', '-w', 'x'], /--count and -w do not go together/)
  refused(['a.pcap', '-U'], /-U goes with -w FILE/)
  refused(['a.pcap', '--format', 'pcap', '--count'], /--format goes with -w/)
  refused(['a.pcap', '-w', 'x', '-W', '2'], /-W goes with -C or -G/)
  refused(['a.pcap', '-w', 'x', '-C', '1', '--keep', '5M', '--sha256'], /--sha256 goes with --info/)
  refused(['a.pcap', '--info', '-c', '5'], /-c does not go with --info/)
  refused(['a.pcap', '-tttttt'], /-t is given at most five times/)
  refused(['a.pcap', '-w', 'x', '-G', '1500ms'], /-G: expected whole seconds/)
  refused(['-', '-'], /standard input is given more than once/)
  refused(['a.pcap', '-F', 'some', 'udp'], /are two filters/)
})

test("tcpdump's letters become options of text", () => {
  const options = (...argv: string[]) => textOptions(parsed(['a.pcap', ...argv]).values)
  const plain = { time: 'local', nanoseconds: false, number: false, link: false, verbosity: 0, quiet: false, dump: 'none', snapLengthBytes: undefined }
  assert.deepEqual(options(), plain)
  assert.deepEqual(options('-nnS#evvvq', '--nano', '-s96'), {
    ...plain,
    nanoseconds: true,
    number: true,
    link: true,
    verbosity: 2,
    quiet: true,
    snapLengthBytes: 96,
  })
  assert.deepEqual(
    ['-t', '-tt', '-ttt', '-tttt', '-ttttt'].map((way) => options(way).time),
    ['none', 'epoch', 'previous', 'date', 'first'],
  )
  assert.deepEqual(
    ['-x', '-xx', '-X', '-XX', '-A', '-AA', '-xX', '-XA'].map((way) => options(way).dump),
    ['hex', 'hexLink', 'hexAscii', 'hexAsciiLink', 'ascii', 'asciiLink', 'hexAscii', 'ascii'],
  )
  assert.equal(options('-s', '0').snapLengthBytes, undefined)
  const precision = (...argv: string[]) => precisionOf(parsed(['a.pcap', ...argv]).values)
  assert.deepEqual([precision(), precision('--micro'), precision('--time-stamp-precision=nano'), precision('--precision', 'us')], [undefined, 'us', 'ns', 'us'])
  refused(['a.pcap', '--nano', '--precision', 'micro'], /do not go together/)
})
