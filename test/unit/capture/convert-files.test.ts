/** Converting: what is left of the target when it goes wrong, and what is taken along, left out and told. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { after, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { type CaptureError, type ConvertOptions, convertCaptureFiles, openCaptureFile, type PartialFile } from '#src/index.js'
import { requireTools } from '../../support/capture-tools.js'
import {
  block,
  enhancedPacket,
  interfaceBlock,
  MICROSECONDS,
  pcapHeader,
  pcapOf,
  sectionHeader,
  Writer,
  type WrittenPacket,
} from '../../support/capture-writer.js'
import { readStrictly, type StrictCapture, textOf } from '../../support/strict-capture.js'

const MAIN = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))
const LE = { littleEndian: true, magic: MICROSECONDS }
const START = 1_700_000_000

const folder = mkdtempSync(join(tmpdir(), 'ringtap-convert-'))
after(() => rmSync(folder, { recursive: true, force: true }))
beforeEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name))
})

const at = (name: string) => join(folder, name)
const put = (name: string, ...parts: Uint8Array[]) => {
  const bytes = Buffer.concat(parts)
  writeFileSync(at(name), bytes)
  return bytes
}
const strictly = (name: string): StrictCapture => readStrictly(readFileSync(at(name)))
const names = () => readdirSync(folder).sort()

function read(...argv: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'read', ...argv], { cwd: folder, encoding: 'latin1' })
  return { status, stderr: stderr.replace(/^reading from file .*\n/gm, '') }
}

/** A second apart, each with its number in it. */
function packetsOf(count: number, length = 60, step = 1): WrittenPacket[] {
  return Array.from({ length: count }, (_, index) => {
    const bytes = new Uint8Array(length).fill(index & 0xff)
    const nanoseconds = Math.round((index * step * 1e9) % 1e9)
    return { bytes, wireLength: length, seconds: START + Math.floor(index * step + 1e-9), nanoseconds, interfaceId: 0 }
  })
}

const options = (build: (w: Writer) => Writer) => build(new Writer(true)).u16(0, 0).end()
const section = (...comments: string[]) =>
  sectionHeader(true, comments.length === 0 ? undefined : options((w) => comments.reduce((own, comment) => own.option(1, comment), w)))
/** Microseconds, which is what a description without a resolution means. */
const packet = (seconds: number, id = 0, length = 60) => enhancedPacket(true, id, BigInt(seconds) * 1_000_000n, new Uint8Array(length).fill(seconds & 0xff))
const simple = (length: number, wireLength = length) => block(true, 3, new Writer(true).u32(wireLength).padded(new Uint8Array(length)).end())

async function convert(inputs: readonly string[], target: string, given: ConvertOptions = {}) {
  const told: { partial?: PartialFile; damages: string[] } = { damages: [] }
  const onPartial = (partial: PartialFile) => {
    told.partial = partial
  }
  const onDamage = (error: CaptureError) => void told.damages.push(error.message)
  const summary = await convertCaptureFiles(inputs.map(at), at(target), { onPartial, onDamage, ...given })
  return { ...summary, ...told }
}

describe('what has the name of the target stays when it goes wrong', () => {
  test('damage: an input that is the target, another file, and a name that is free', () => {
    const whole = pcapOf(LE, packetsOf(10))
    const damaged = put('in.pcap', whole.subarray(0, whole.length - 30))
    const ended = read('in.pcap', '-w', 'in.pcap')
    assert.equal(ended.status, 1)
    assert.match(ended.stderr, /^ringtap: in\.pcap: at byte \d+.*\n.*\n9 packets written to .*in\.pcap\.partial; in\.pcap is left as it was\n$/)
    assert.deepEqual(readFileSync(at('in.pcap')), damaged)
    assert.deepEqual(readFileSync(at('in.pcap.partial')), whole.subarray(0, 24 + 9 * 76))

    const other = put('other.pcap', Uint8Array.of(1, 2, 3))
    put('other.pcap.partial', Uint8Array.of(4))
    assert.match(read('in.pcap', '-w', 'other.pcap').stderr, /other\.pcap\.partial-2; other\.pcap is left as it was\n$/)
    assert.deepEqual(readFileSync(at('other.pcap')), other)
    assert.deepEqual(readFileSync(at('other.pcap.partial')), Buffer.of(4))
    assert.equal(strictly('other.pcap.partial-2').packets.length, 9)

    assert.match(read('in.pcap', '-w', 'new.pcap').stderr, /\n9 packets written; new\.pcap is not all that it was to be\n$/)
    assert.equal(strictly('new.pcap').packets.length, 9)
    // What was asked to go on behind the damage has gone well.
    assert.equal(read('in.pcap', '--tolerant', '-w', 'in.pcap').status, 0)
    assert.equal(strictly('in.pcap').packets.length, 9)
  })

  test('a limit on the length of files, or a full disk', () => {
    for (const [input, target] of [
      ['in.pcap', 'in.pcap'],
      ['in.pcap', 'other.pcap'],
      ['in.pcap', 'other.pcapng.gz'],
    ] as const) {
      const bytes = put(input, pcapOf(LE, packetsOf(1000, 1000)))
      put('other.pcap', Uint8Array.of(1))
      put('other.pcapng.gz', Uint8Array.of(1))
      // In KiB. The last buffer is the one that does not fit: it is written when the file is closed.
      const limited = target.endsWith('gz') ? 2 : 900
      const script = `ulimit -f ${limited}; exec "$0" "${MAIN}" read ${input} -w ${target}`
      const { status, stderr } = spawnSync('bash', ['-c', script, process.execPath], { cwd: folder, encoding: 'utf8' })
      assert.equal(status, 1, stderr)
      assert.match(stderr, /write: EFBIG/)
      assert.match(stderr, new RegExp(`${target} is left as it was\n`))
      assert.deepEqual(readFileSync(at(target)), target === input ? bytes : Buffer.of(1))
      const [, kept] = /(\d+) packets written/.exec(stderr) as unknown as [string, string]
      if (!target.endsWith('gz')) assert.equal(strictly(`${target}.partial`).packets.length, Number(kept))
      assert.deepEqual(
        names().filter((name) => name.endsWith('.part')),
        [],
      )
      for (const name of names()) rmSync(at(name))
    }
  })

  test('an abort', async () => {
    const bytes = put('in.pcap', pcapOf(LE, packetsOf(5000, 1000)))
    const controller = new AbortController()
    const { signal } = controller
    async function* input() {
      yield bytes.subarray(0, 1_000_000)
      controller.abort()
      yield bytes.subarray(1_000_000)
    }
    let partial: PartialFile | undefined
    const onPartial = (told: PartialFile) => {
      partial = told
    }
    const { reason, packets } = await convertCaptureFiles([input()], at('in.pcap'), { signal, onPartial })
    assert.equal(reason, 'aborted')
    assert.ok(packets < 5000)
    assert.deepEqual(readFileSync(at('in.pcap')), bytes)
    if (packets > 0) assert.equal(strictly('in.pcap.partial').packets.length, packets)
    assert.deepEqual([partial?.spared, partial?.packets], [at('in.pcap'), packets])
  })

  test('without a packet nothing is left beside it', async () => {
    const bytes = put('in.pcap', pcapHeader(LE), new Uint8Array(7))
    assert.deepEqual((await convert(['in.pcap'], 'in.pcap')).partial, { path: undefined, spared: at('in.pcap'), packets: 0 })
    assert.deepEqual(names(), ['in.pcap'])
    assert.deepEqual(readFileSync(at('in.pcap')), bytes)
  })

  test('kill -9 where a guard stands by', async () => {
    const bytes = put('in.pcap', pcapOf(LE, packetsOf(10)))
    const program = `
      import { readFileSync } from 'node:fs'
      import { convertCaptureFiles } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
      async function* input() {
        yield readFileSync('in.pcap')
        setTimeout(() => console.log('written'), 500)
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      }
      await convertCaptureFiles([input()], 'in.pcap', { guard: true, unbuffered: true })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    for (let tries = 0; tries < 100 && !existsSync(at('in.pcap.partial')); tries++) await sleep(50)
    assert.deepEqual(readFileSync(at('in.pcap')), bytes)
    assert.equal(strictly('in.pcap.partial').packets.length, 10)
  })

  test('an input is not written over in place, and no file of a series takes its name', () => {
    const bytes = put('in.pcap', pcapOf(LE, packetsOf(200)))
    for (const script of ['-w /dev/fd/3 3<>in.pcap', '-w - >>in.pcap', '-w - --format pcap 1<>in.pcap']) {
      const { status, stderr } = spawnSync('bash', ['-c', `"$0" "${MAIN}" read in.pcap ${script}`, process.execPath], { cwd: folder, encoding: 'utf8' })
      assert.equal(status, 2, script)
      assert.match(stderr, /it is being read, and could only be written over in place/)
      assert.deepEqual(readFileSync(at('in.pcap')), bytes)
    }
    const ended = read('in.pcap', '-C', '5k', '-w', 'in.pcap')
    assert.equal(ended.status, 1)
    assert.match(ended.stderr, /^ringtap: in\.pcap: it is being read, so the file of the series that has its name is .*in\.pcap\.partial\n$/)
    assert.deepEqual(readFileSync(at('in.pcap')), bytes)
    const series = ['in.pcap.partial', ...names().filter((name) => /^in\.pcap\d+$/.test(name))]
    assert.equal(
      series.reduce((sum, name) => sum + strictly(name).packets.length, 0),
      200,
    )
  })
})

/** Below /dev files are written as they are, as in a folder that takes no new ones. */
describe('a target that can only be written in place', () => {
  const shared = mkdtempSync('/dev/shm/ringtap-convert-')
  const target = join(shared, 'out')
  after(() => rmSync(shared, { recursive: true, force: true }))

  async function partialOf(given: Parameters<typeof convertCaptureFiles>[0], path: string, options: ConvertOptions = {}) {
    let partial: PartialFile | undefined
    const onPartial = (told: PartialFile) => {
      partial = told
    }
    await convertCaptureFiles(given, path, { onPartial, onDamage: () => {}, ...options })
    return partial
  }

  test('a series is not written over what it is read from', async () => {
    const input = put('in.pcap', pcapOf(LE, packetsOf(200)))
    writeFileSync(`${target}1`, input)
    writeFileSync(target, 'old')
    const warnings: string[] = []
    const onEvent: ConvertOptions['onEvent'] = (event) => void (event.type === 'file-warning' && warnings.push(event.message))
    const { packets } = await convertCaptureFiles([`${target}1`], target, { format: 'pcap', rotation: { sizeBytes: 5000 }, onEvent })
    assert.equal(packets, 200)
    assert.deepEqual(readFileSync(`${target}1`), input)
    assert.equal(readStrictly(readFileSync(target)).packets.length, 200)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] as string, /the current one goes on: \S+1: it is being read, and could only be written over in place/)
  })

  test('one that has been emptied is not told as left as it was', async () => {
    put('in.pcap', pcapHeader(LE), new Uint8Array(7))
    writeFileSync(target, 'old')
    assert.deepEqual(await partialOf([at('in.pcap')], target), { path: target, spared: undefined, packets: 0 })
    assert.equal(readStrictly(readFileSync(target)).packets.length, 0)
    // With something in it: the same.
    put('in.pcap', pcapOf(LE, packetsOf(3)), new Uint8Array(7))
    assert.deepEqual(await partialOf([at('in.pcap')], target), { path: target, spared: undefined, packets: 3 })
  })

  test('in a folder that takes no new file', () => {
    const own = mkdtempSync(join(tmpdir(), 'ringtap-closed-'))
    writeFileSync(join(own, 'in'), Buffer.concat([pcapHeader(LE), new Uint8Array(7)]), { mode: 0o644 })
    writeFileSync(join(own, 'out'), 'old')
    chmodSync(join(own, 'out'), 0o666)
    chmodSync(own, 0o555)
    const program = `
      import { convertCaptureFiles } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534) }
      await convertCaptureFiles(['in'], 'out', { onDamage() {}, onPartial: (told) => console.log(told) })`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: own, encoding: 'utf8' })
    chmodSync(own, 0o755)
    const left = readFileSync(join(own, 'out'), 'latin1')
    rmSync(own, { recursive: true })
    assert.equal(stdout, "{ path: 'out', spared: undefined, packets: 0 }\n", stderr)
    assert.ok(left !== 'old' && left.length > 0)
  })
})

test('a series that ends in a file without a packet: an older one of that name is not told as what was written', () => {
  put('in.pcap', pcapOf(LE, [...packetsOf(40), ...packetsOf(1, 30_000)]))
  const old = put('out.pcap1', Uint8Array.of(2))
  const program = `
    import { convertCaptureFiles } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
    const told = (partial) => console.log(partial)
    await convertCaptureFiles(['in.pcap'], 'out.pcap', { rotation: { sizeBytes: 3000 }, unbuffered: true, onPartial: told })`
  // The packet that the second file was begun for is longer than a file may be.
  const script = 'ulimit -f 16; exec "$0" --input-type=module -e "$1"'
  const { stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, program], { cwd: folder, encoding: 'utf8' })
  assert.match(stderr, /EFBIG/)
  assert.equal(stdout, "{ path: undefined, spared: 'out.pcap1', packets: 40 }\n")
  assert.deepEqual(readFileSync(at('out.pcap1')), Buffer.from(old))
  assert.equal(strictly('out.pcap').packets.length, 40)
})

test('a file called - is not stdout', () => {
  put('in.pcap', pcapHeader(LE), new Uint8Array(7))
  const old = put('-', Uint8Array.of(1, 2, 3))
  const program = `
    import { convertCaptureFiles } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
    await convertCaptureFiles(['in.pcap'], '-', { onDamage() {}, onPartial: (told) => console.error(told) })`
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: folder, encoding: 'utf8' })
  assert.equal(stderr, "{ path: '-', spared: undefined, packets: 0 }\n")
  assert.deepEqual(readFileSync(at('-')), Buffer.from(old))
})

describe('packets that the target cannot hold', () => {
  test('a time before 1970 or beyond the format: left out, told, and the rest is there', async () => {
    const offset = (seconds: bigint) => options((w) => w.option(14, new Writer(true).u64(seconds).end()))
    put(
      'in.pcapng',
      section(),
      interfaceBlock(true, 1, 0),
      interfaceBlock(true, 1, 0, offset(-500n)),
      packet(1, 1),
      packet(START),
      packet(2, 1),
      packet(600, 1),
    )
    put('late.pcapng', section(), interfaceBlock(true, 1, 0, offset(2n ** 32n)), interfaceBlock(true, 1, 0, offset(2n ** 34n)), packet(1, 0), packet(1, 1))
    const early = await convert(['in.pcapng'], 'out.pcapng', { order: 'files' })
    assert.deepEqual([early.packets, early.packetsLeftOut], [2, 2])
    assert.deepEqual(early.damages, [
      `${at('in.pcapng')}: packet 1 at byte 84: the pcapng file that is written has no place for its time, -499 s and 0 ns since 1970: left out, and 1 more`,
    ])
    assert.deepEqual(
      strictly('out.pcapng').packets.map(({ time }) => time / 1_000_000_000n),
      [BigInt(START), 100n],
    )
    assert.deepEqual([(await convert(['late.pcapng'], 'a.pcapng')).packetsLeftOut, (await convert(['late.pcapng'], 'a.pcap')).packetsLeftOut], [1, 2])
    await assert.rejects(convertCaptureFiles([at('late.pcapng')], at('b.pcap')), {
      message: /packet 1 at byte \d+: the pcap file that is written has no place for its time, 4294967297 s/,
      hint: /pcapng has times beyond 2106/,
    })
    await assert.rejects(convertCaptureFiles([at('in.pcapng')], at('c.pcap')), { message: /, -499 s/, hint: undefined })
    const bytes = readFileSync(at('in.pcapng'))
    const { status, stderr } = read('in.pcapng', '-w', 'in.pcapng')
    assert.equal(status, 1)
    assert.match(stderr, /\n2 packets written to .*in\.pcapng\.partial, 2 packets left out; in\.pcapng is left as it was\n$/)
    assert.deepEqual(readFileSync(at('in.pcapng')), bytes)
  })

  test('statistics of such a time are left out', async () => {
    const statistics = (high: number) => block(true, 5, new Writer(true).u32(0, high, 0).end())
    put('in.pcapng', section(), interfaceBlock(true, 1, 0), packet(START), statistics(0xffff_ffff), statistics(0x60000))
    assert.equal((await convert(['in.pcapng'], 'out.pcapng')).blocksLeftOut, 1)
  })

  test('the file says how long they are, whatever the others say', async () => {
    put('big.pcap', pcapOf({ ...LE, snaplen: 524_288 }, packetsOf(1, 300_000)))
    put('zero.pcap', pcapOf({ ...LE, snaplen: 0 }, packetsOf(2)))
    put('later.pcapng', section(), interfaceBlock(true, 1, 100), packet(START), section(), interfaceBlock(true, 1, 524_288), packet(START + 1, 0, 300_000))
    assert.equal((await convert(['big.pcap', 'zero.pcap'], 'out.pcap')).packets, 3)
    assert.equal(strictly('out.pcap').snapLength, 524_288)
    await using file = await openCaptureFile(at('out.pcap'))
    const lengths: number[] = []
    for await (const { bytes } of file) lengths.push(bytes.length)
    assert.deepEqual(lengths.sort(), [300_000, 60, 60].sort())
    const later = await convert(['later.pcapng'], 'later.pcap')
    assert.deepEqual([later.packets, later.packetsLeftOut], [1, 1])
    assert.match(later.damages[0] as string, /it has 300000 bytes, and the file that is written says that none has more than 262144/)
  })
})

test('blocks before the first packet do not wait for it in memory', async () => {
  const large = block(true, 9, new Uint8Array(1_000_000))
  /** Megabytes that were read and not yet written, at most. */
  const run = async (given: ConvertOptions) => {
    let taken = 0
    let written = 0
    let waiting = 0
    async function* input() {
      yield Buffer.concat([section(), interfaceBlock(true, 1, 0)])
      for (; taken < 100; taken++) {
        waiting = Math.max(waiting, taken - written / large.length)
        yield large
      }
      yield packet(START)
    }
    const target = new Writable({
      write(chunk: Uint8Array, _encoding, done) {
        written += chunk.length
        setImmediate(done)
      },
    })
    const { packets, blocksLeftOut } = await convertCaptureFiles([input()], target, given)
    return { packets, blocksLeftOut, written, waiting }
  }
  for (const given of [{}, { filter: 'udp' }]) {
    const { packets, blocksLeftOut, written, waiting } = await run(given)
    assert.deepEqual([packets, blocksLeftOut], ['filter' in given ? 0 : 1, 0])
    assert.ok(written > 100_000_000)
    assert.ok(waiting < 12, `${waiting} MB waited`)
  }
  const { packets, blocksLeftOut } = await run({ format: 'pcap' })
  assert.deepEqual([packets, blocksLeftOut], [1, 100])
})

test('a packet without a time has none in pcapng, and is counted where it must have one', async (t) => {
  const tagged = options((w) => w.option(2, 'second'))
  put(
    'in.pcapng',
    section(),
    interfaceBlock(true, 1, 40),
    simple(40, 100),
    packet(START, 0, 40),
    simple(20),
    section(),
    interfaceBlock(true, 1, 0, tagged),
    simple(21),
  )
  const { packets, packetsDated } = await convert(['in.pcapng'], 'out.pcapng', { order: 'files' })
  assert.deepEqual([packets, packetsDated], [4, 1])
  await using file = await openCaptureFile(at('out.pcapng'))
  const found: unknown[] = []
  for await (const { hasTimestamp, bytes, wireLength, seconds } of file) found.push([hasTimestamp, bytes.length, wireLength, seconds])
  assert.deepEqual(found, [
    [false, 40, 100, 0],
    [true, 40, 40, START],
    [false, 20, 20, 0],
    [true, 21, 21, 0],
  ])
  assert.match(read('in.pcapng', '-w', 'out.pcap').stderr, /^4 packets written, 3 packets without a time stamp written with that of 1970\n$/)
  if (!requireTools(t, 'capinfos')) return
  const { stdout } = spawnSync('capinfos', ['-M', '-c', at('out.pcapng')], { encoding: 'utf8' })
  assert.match(stdout, /Number of packets: +4/)
})

describe('a series', () => {
  test('compressed files have the packets of the uncompressed ones', async () => {
    put('in.pcap', pcapOf(LE, packetsOf(5000, 60, 0.1)))
    for (const files of [undefined, 2]) {
      await convert(['in.pcap'], 'G-%s.pcap', { rotation: { seconds: 60, files } })
      const plain = names().filter((name) => name.startsWith('G-'))
      assert.equal(plain.length, files ?? 9)
      for (const name of plain) if (files !== undefined) assert.equal(strictly(name).packets.length, 600)
      const { packets } = await convert(['in.pcap'], 'G-%s.pcap.gz', { rotation: { seconds: 60, files } })
      if (files !== undefined) assert.equal(packets, 1200)
      assert.deepEqual(
        names().filter((name) => name.endsWith('.gz')),
        plain.map((name) => `${name}.gz`),
      )
      for (const name of plain) {
        assert.deepEqual(gunzipSync(readFileSync(at(`${name}.gz`))), readFileSync(at(name)))
        // Two members, not one a packet.
        assert.ok(readFileSync(at(`${name}.gz`)).length < readFileSync(at(name)).length / 3)
      }
      for (const name of names()) if (name.startsWith('G-')) rmSync(at(name))
    }
  })

  test('interfaces that come while members are being made are described once in each file', async () => {
    const parts = [section()]
    for (let id = 0; id < 20; id++) {
      parts.push(
        interfaceBlock(
          true,
          1,
          0,
          options((w) => w.option(2, `eth${id}`)),
        ),
      )
      for (let n = 0; n < 20; n++) parts.push(packet(START + id * 20 + n, id))
    }
    put('in.pcapng', ...parts)
    await convert(['in.pcapng'], 'G-%s.pcapng.gz', { rotation: { seconds: 7 } })
    const seen: number[] = []
    for (const name of names().filter((each) => each.startsWith('G-'))) {
      await using file = await openCaptureFile(at(name))
      for await (const { seconds, interfaceId } of file) {
        seen.push(seconds)
        assert.equal(file.interfaces[interfaceId]?.name, `eth${Math.floor((seconds - START) / 20)}`)
      }
      assert.equal(new Set(file.interfaces.map((each) => each.name)).size, file.interfaces.length)
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 400 }, (_, index) => START + index),
    )
  })

  test('names and secrets are in each file, as long as they leave room', async () => {
    const secrets = (length: number) => block(true, 10, new Writer(true).u32(0x544c534b, length).padded(new Uint8Array(length)).end())
    const resolved = block(
      true,
      4,
      new Writer(true)
        .u16(1, 9)
        .padded(Buffer.from([192, 0, 2, 1, ...Buffer.from('here\0')]))
        .u16(0, 0)
        .end(),
    )
    const packets = Array.from({ length: 60 }, (_, index) => packet(START + index))
    const types = (name: string) =>
      strictly(name)
        .blocks.map(({ type }) => type)
        .filter((type) => type === 4 || type === 10)
    put('in.pcapng', section(), interfaceBlock(true, 1, 0), resolved, ...packets.slice(0, 30), secrets(30), ...packets.slice(30))
    for (const ending of ['', '.gz']) {
      await convert(['in.pcapng'], `s.pcapng${ending}`, { rotation: { sizeBytes: 1000 } })
      const series = names().filter((name) => /^s\.pcapng\d*$/.test(name))
      if (ending === '') {
        assert.ok(series.length > 4)
        assert.deepEqual(types('s.pcapng'), [4])
        assert.deepEqual(types(series.at(-1) as string), [4, 10])
        for (const name of series) assert.equal(types(name)[0], 4)
      }
    }
    put('large.pcapng', section(), interfaceBlock(true, 1, 0), resolved, secrets(900), ...packets)
    const warnings: string[] = []
    await convert(['large.pcapng'], 'l.pcapng', {
      rotation: { sizeBytes: 1000 },
      onEvent: (event) => event.type === 'file-warning' && warnings.push(event.message),
    })
    assert.deepEqual(warnings, ['names and secrets of more than 500 bytes: those behind are in one file of the series alone'])
    assert.deepEqual([types('l.pcapng'), types('l.pcapng1')], [[4, 10], [4]])
    assert.ok(names().filter((name) => name.startsWith('l.pcapng')).length < 12)
  })
})

test('the length of the FCS is taken along, from pcap and from pcapng', async (t) => {
  put('fcs.pcap', pcapOf({ ...LE, linktype: 0x2400_0001 }, packetsOf(1)))
  await convert(['fcs.pcap'], 'again.pcap')
  assert.deepEqual(readFileSync(at('again.pcap')), readFileSync(at('fcs.pcap')))
  await convert(['fcs.pcap'], 'fcs.pcapng')
  await convert(['fcs.pcapng'], 'back.pcap')
  assert.equal(strictly('back.pcap').linkType, 0x2400_0001)
  put('none.pcap', pcapOf(LE, packetsOf(1)))
  await convert(['fcs.pcap', 'none.pcap'], 'both.pcap')
  assert.equal(strictly('both.pcap').linkType, 1)
  if (!requireTools(t, 'tcpdump')) return
  assert.equal(spawnSync('tcpdump', ['-Z', 'root', '-r', at('fcs.pcap'), '-w', at('theirs.pcap')]).status, 0)
  assert.deepEqual(readFileSync(at('again.pcap')), readFileSync(at('theirs.pcap')))
})

test('comments of later sections go to a packet of the same file, or are counted', async () => {
  put(
    'a.pcapng',
    section('of a'),
    interfaceBlock(true, 1, 0),
    packet(START),
    section('later in a', 'and again'),
    interfaceBlock(true, 1, 0),
    packet(START + 100),
  )
  put('b.pcapng', section(), interfaceBlock(true, 1, 0), ...Array.from({ length: 50 }, (_, index) => packet(START + 1 + index)))
  const both = await convert(['a.pcapng', 'b.pcapng'], 'out.pcapng')
  assert.equal(both.blocksLeftOut, 0)
  const commented = strictly('out.pcapng').packets.flatMap(({ time, options: own }) => textOf(own, 1).map((text) => [time / 1_000_000_000n, text]))
  assert.deepEqual(commented, [
    [BigInt(START + 100), 'later in a'],
    [BigInt(START + 100), 'and again'],
  ])
  put('end.pcapng', section(), interfaceBlock(true, 1, 0), packet(START), section('to nobody'), interfaceBlock(true, 1, 0))
  assert.deepEqual([(await convert(['end.pcapng'], 'o.pcapng')).blocksLeftOut, (await convert(['end.pcapng'], 'o.pcap')).blocksLeftOut], [1, 1])
})

test('two link types in pcap: which interface it is that has another', async () => {
  put('in.pcapng', section(), interfaceBlock(true, 1, 0), interfaceBlock(true, 113, 0), packet(START))
  put(
    'named.pcapng',
    section(),
    interfaceBlock(true, 1, 0),
    interfaceBlock(
      true,
      113,
      0,
      options((w) => w.option(2, 'any')),
    ),
    packet(START),
  )
  await assert.rejects(convert(['in.pcapng'], 'out.pcap'), /it is 1, and interface 1 has 113$/)
  await assert.rejects(convert(['named.pcapng'], 'out.pcap'), /it is 1, and interface 1 \(any\) has 113$/)
  assert.ok(!existsSync(at('out.pcap')))
})
