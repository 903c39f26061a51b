import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from '#src/cli/parse.js'
import { COMMANDS, type CommandRow, type OptionRow } from '#src/cli/table.js'
import { UsageError } from '#src/cli/usage-error.js'

function capture(...argv: string[]) {
  const invocation = parseArguments(['capture', ...argv])
  assert.equal(invocation.run, 'capture')
  return invocation
}

function refused(argv: string[], message: string, hint?: string): void {
  assert.throws(
    () => parseArguments(argv),
    (error) => {
      assert.ok(error instanceof UsageError, String(error))
      assert.equal(error.message, message)
      if (hint !== undefined) assert.equal(error.hint, hint)
      return true
    },
  )
}

test('letters in a cluster, the last with its value', () => {
  const { values, words } = capture('-nvi', 'eth0')
  assert.deepEqual(values.interface, ['eth0'])
  assert.equal(values.verbose, true)
  assert.equal(values.noNames, true)
  assert.equal(values.quiet, false)
  assert.deepEqual(words, [])
})

test('a value may stand at its letter', () => {
  const { values } = capture('-ieth0', '-c10', '-pB4096')
  assert.deepEqual(values.interface, ['eth0'])
  assert.equal(values.count, 10)
  assert.equal(values.noPromiscuousMode, true)
  assert.equal(values.bufferSize, 4 * 2 ** 20)
})

test('long options with = and without', () => {
  const { values } = capture('--interface=eth0', '--ring', '256M', '--block-timeout=60ms', '--snapshot-length=96')
  assert.deepEqual(values.interface, ['eth0'])
  assert.deepEqual(values.ring, { bytes: 256 * 2 ** 20 })
  assert.equal(values.blockTimeout, 60)
  assert.equal(values.snapLength, 96)
})

test('-i repeats, other options are overridden by the last', () => {
  const { values } = capture('-i', 'a', '-i', 'b', '--workers', '1', '--workers', 'auto')
  assert.deepEqual(values.interface, ['a', 'b'])
  assert.equal(values.workers, 'auto')
})

test('options that were not given are absent, defaults are there', () => {
  const { values } = capture('-i', 'eth0')
  assert.deepEqual(
    { ...values },
    {
      interface: ['eth0'],
      interval: 1000,
      noPromiscuousMode: false,
      verbose: false,
      quiet: false,
      json: false,
      noNames: false,
      lineBuffered: false,
      listInterfaces: false,
      exclusive: false,
      hardwareHints: false,
      perWorker: false,
      order: false,
      packetBuffered: false,
      noGuard: false,
      ledger: false,
      cpuBars: false,
    },
  )
})

test('words are the filter, wherever they stand; -- ends the options', () => {
  assert.deepEqual(capture('-i', 'eth0', 'udp', 'port', '53').words, ['udp', 'port', '53'])
  assert.deepEqual(capture('udp', '-i', 'eth0', 'port', '53').words, ['udp', 'port', '53'])
  assert.deepEqual(capture('-i', 'eth0', '--', '-5', '<', 'len').words, ['-5', '<', 'len'])
  assert.deepEqual(capture('-i', 'eth0', '-').words, ['-'])
})

test('-d, -dd and -ddd are the same flag once, twice and three times', () => {
  const dumped = (...argv: string[]) => {
    const invocation = parseArguments(['filter', ...argv])
    assert.ok(invocation.run === 'filter')
    return [invocation.values.dump, ...invocation.words]
  }
  assert.deepEqual(dumped('udp'), [0, 'udp'])
  assert.deepEqual(dumped('-d', 'udp', 'port', '53'), [1, 'udp', 'port', '53'])
  assert.deepEqual(dumped('-dd'), [2])
  assert.deepEqual(dumped('-dddy', 'RAW', 'ip'), [3, 'ip'])
  assert.deepEqual(dumped('-d', '-d', '--dump', '--', '-1', '<', 'len'), [3, '-1', '<', 'len'])
})

test('help and version', () => {
  assert.deepEqual(parseArguments(['--help']), { run: 'help', command: undefined })
  assert.deepEqual(parseArguments(['help']), { run: 'help', command: undefined })
  assert.deepEqual(parseArguments(['--version']), { run: 'version' })
  for (const argv of [
    ['help', 'rate'],
    ['rate', '--help'],
    ['rate', '-h'],
    ['rate', '-i', 'eth0', '--help'],
  ]) {
    const invocation = parseArguments(argv)
    assert.ok(invocation.run === 'help' && invocation.command?.name === 'rate', argv.join(' '))
  }
})

test('-D without a command lists interfaces', () => {
  const invocation = parseArguments(['-D', '--netns', 'blue'])
  assert.ok(invocation.run === 'interfaces' && invocation.values.netns === 'blue')
})

test('defaults of the other commands', () => {
  const rate = parseArguments(['rate', '-i', 'eth0'])
  assert.ok(rate.run === 'rate' && rate.values.interval === 1000 && rate.values.interface === 'eth0')
  const flood = parseArguments(['flood', '-i', 'veth0', '-c', '10M'])
  assert.ok(
    flood.run === 'flood' && flood.values.kind === 'syn' && flood.values.size === 60 && flood.values.rate === 'max' && flood.values.count === 10_000_000,
  )
  const bench = parseArguments(['bench', '--seconds', '2', '--rungs', 'ring,recv'])
  assert.ok(bench.run === 'bench')
  assert.deepEqual([bench.values.seconds, bench.values.alternations, bench.values.workers], [2000, 7, 'auto'])
  assert.deepEqual(bench.values.rungs, ['ring', 'recv'])
})

test('what cannot be understood is said with what was expected', () => {
  refused([], 'which command?')
  refused(['captrue'], "there is no command 'captrue'", 'did you mean ringtap capture?')
  refused(['help', 'xyzzy'], "there is no command 'xyzzy'", 'ringtap --help lists the commands')
  refused(['-i', 'eth0'], "a command comes before its options, got '-i'", 'ringtap capture -i eth0')
  refused(['capture', '--block-timeout', '60MB'], "--block-timeout: expected a duration such as 60ms or 2s, got '60MB'")
  refused(['capture', '--block-timeout', '60'], "--block-timeout: expected a duration such as 60ms or 2s, got '60'")
  refused(['capture', '--ring', '256X'], "--ring: expected a size such as 256M, or a time at a rate such as 500ms@2Mpps, got '256X'")
  refused(['capture', '-B', '4ms'], "-B: expected a size in KiB such as 4096, or with a unit such as 4M, got '4ms'")
  refused(['capture', '-c', '-i'], "-c: expected a whole number such as 1000 or 10M, got '-i'")
  refused(['capture', '-Q', 'up'], "-Q: expected one of in, out, inout, got 'up'")
  refused(['capture', '--backend', 'rign'], "--backend: expected one of auto, ring, recv, xdp, got 'rign'")
  refused(['capture', '-i'], '-i: a value is missing; expected IFACE')
  refused(['capture', '--ring'], '--ring: a value is missing; expected a size such as 256M, or a time at a rate such as 500ms@2Mpps')
  refused(['capture', '--json=yes'], "--json takes no value, got 'yes'")
  refused(['capture', '--rign', '1G'], 'ringtap capture has no option --rign', 'did you mean --ring?')
  refused(['capture', '--promisc'], 'ringtap capture has no option --promisc', 'ringtap capture --help lists the options')
  refused(['capture', '-K'], 'ringtap capture has no option -K', 'ringtap capture --help lists the options')
  refused(['capture', '-d'], 'ringtap capture has no option -d', 'ringtap filter has it')
  refused(['rate', '-d'], 'ringtap rate has no option -d', 'ringtap rate --help lists the options')
  refused(['capture', '-e'], '-e (print link-layer headers) is not there yet')
  refused(['capture', 'eth0'], "which interface? got only 'eth0'", 'an interface is given with -i: ringtap capture -i eth0')
  refused(['rate', 'eth0'], "ringtap rate takes options only, got 'eth0'", 'an interface is given with -i: ringtap rate -i eth0')
  refused(['interfaces', 'eth0'], "ringtap interfaces takes options only, got 'eth0'")
  refused(['bench', '--alternations', '0'], "--alternations: expected at least 1, got '0'")
  for (const command of ['rate', 'count', 'capture']) {
    refused([command, '-i', 'a', '--interval', '2147484'], "--interval: expected at most 2147483.647s, got '2147484'")
  }
  for (const command of ['rate', 'count']) refused([command, '-i', 'a', '--duration', '2147484'], "--duration: expected at most 2147483.647s, got '2147484'")
  refused(['rate', '-i', 'a', '--interval', '1ms'], "--interval: expected at least 10ms, got '1ms'")
})

test('the table is sound: names and letters are unique in a command, defaults are values', () => {
  for (const command of COMMANDS) {
    const options: readonly OptionRow[] = command.options
    const names = options.flatMap((option) => [option.name, ...(option.aliases ?? [])])
    const letters = options.flatMap((option) => option.letter ?? [])
    assert.equal(new Set(names).size, names.length, command.name)
    assert.equal(new Set(letters).size, letters.length, command.name)
    for (const option of options) {
      assert.match(option.name, /^[a-z][a-z0-9-]*$/)
      assert.ok(!option.doc.includes('\n') && !option.doc.endsWith('.'), option.name)
      assert.ok((option.kind === 'enum') === (option.values !== undefined), option.name)
    }
    // An option with a default is there without being given.
    const [action = []] = (command as CommandRow).actions ?? []
    assert.doesNotThrow(() => parseArguments([command.name, ...action.slice(0, 1)]))
  }
})

test('an action is the first word, wherever it stands, and the only one', () => {
  for (const argv of [
    ['tune', 'plan', '-i', 'eth1', '--cpus', '0-3', '--no-smt'],
    ['tune', '-i', 'eth1', '--cpus', '0-3', '--no-smt', 'plan'],
  ]) {
    const invocation = parseArguments(argv)
    assert.ok(invocation.run === 'tune')
    const { action, interface: name, cpus, noSmt, yesIMayLoseThisLink } = invocation.values
    assert.deepEqual([action, name, cpus, noSmt, yesIMayLoseThisLink], ['plan', 'eth1', [0, 1, 2, 3], true, false])
    assert.deepEqual(invocation.words, [])
  }
  refused(['tune', '-i', 'eth1'], 'ringtap tune: what is to be done?', 'ringtap tune show ..., or plan, apply, revert')
  refused(['tune', 'revret', '-i', 'eth1'], "ringtap tune does not know 'revret'", 'did you mean ringtap tune revert?')
  refused(['tune', 'plan', 'apply', '-i', 'eth1'], "ringtap tune takes options only, got 'apply'")
})

test('a letter means the same in every command', () => {
  // NB: tcpdump has --count beside -c N, and so has read.
  const meaning = new Map<string, string>()
  for (const command of COMMANDS) {
    for (const option of command.options as readonly OptionRow[]) {
      if (option.letter === undefined) continue
      if (command.name === 'read' && option.letter === 'c') continue
      assert.equal(meaning.get(option.letter) ?? option.name, option.name, `-${option.letter}`)
      meaning.set(option.letter, option.name)
    }
  }
})

test('replay takes a file, which is no filter and no interface', () => {
  const invocation = parseArguments(['replay', 'a file.pcap', '-i', 'veth0', '--rate', '1Gbit'])
  assert.ok(invocation.run === 'replay')
  assert.deepEqual(invocation.words, ['a file.pcap'])
  assert.deepEqual([invocation.values.rate, invocation.values.loop, invocation.values.topSpeed], [{ bitsPerSecond: 1e9 }, 1, false])
  // That the interface is missing is for the command to say.
  const without = parseArguments(['replay', 'a.pcap'])
  assert.ok(without.run === 'replay')
  assert.deepEqual(without.words, ['a.pcap'])
})
