import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, createReadStream, ftruncateSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, beforeEach, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as zlib from 'node:zlib'
import { CaptureError, type CaptureFile, type CaptureFileOptions, type FilePacket, mergeCaptureFiles, openCaptureFile, type PacketCursor } from '#src/index.js'
import { enhancedPacket, interfaceBlock, NANOSECONDS, pcapHeader, pcapOf, pcapRecord, randomPackets, sectionHeader } from '../../support/capture-writer.js'
import { inPieces } from '../../support/decode-file.js'
import { randomOf, seededRandom } from '../../support/random.js'

const { gzipSync } = zlib
const SHAPE = { littleEndian: true, magic: NANOSECONDS }
const folder = mkdtempSync(join(tmpdir(), 'ringtap-open-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'packets.pcap')
const packets = randomPackets(randomOf(3), 500)
const bytes = pcapOf(SHAPE, packets)
writeFileSync(path, bytes)

/** Files and pipes that are open, by what they are. */
function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`)
      } catch {
        return ''
      }
    })
    .filter((target) => target.startsWith(folder))
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Of buffers that are in use. */
function heldBytes(): number {
  collect()
  return process.memoryUsage().arrayBuffers
}

async function all(file: CaptureFile): Promise<FilePacket[]> {
  const found: FilePacket[] = []
  for await (const packet of file) found.push(packet)
  return found
}

async function lengths(input: Parameters<typeof openCaptureFile>[0], options: CaptureFileOptions = {}): Promise<number[]> {
  await using file = await openCaptureFile(input, options)
  return (await all(file)).map((packet) => packet.bytes.length)
}

const expected = packets.map((packet) => packet.bytes.length)

async function* pieces(source: Uint8Array, length = 1000): AsyncGenerator<Uint8Array> {
  yield* inPieces(source, () => length)
}

/** What is yielded, then an error. */
async function failure(file: CaptureFile): Promise<[packets: number, error: CaptureError]> {
  let found = 0
  try {
    for await (const batch of file.batches()) while (batch.next()) found++
  } catch (error) {
    assert.ok(error instanceof CaptureError, String(error))
    return [found, error]
  }
  throw new Error(`${found} packets and no error`)
}

describe('where a file comes from', () => {
  test('a path, a URL, a Readable, an async iterable, of large and of small pieces', async () => {
    assert.deepEqual(await lengths(path), expected)
    assert.deepEqual(await lengths(pathToFileURL(path)), expected)
    assert.deepEqual(await lengths(createReadStream(path)), expected)
    assert.deepEqual(await lengths(Readable.from([bytes])), expected)
    assert.deepEqual(await lengths(pieces(bytes, 3)), expected)
    assert.deepEqual(openDescriptors(), [])
  })

  test('standard input: a file from where it stands, and a pipe', () => {
    const source = `
      import { openCaptureFile } from '${import.meta.resolve('#src/index.js')}'
      const file = await openCaptureFile('-')
      let packets = 0
      for await (const batch of file.batches()) while (batch.next()) packets++
      console.log(file.name, packets)`
    const argv = ['--input-type=module', '-e', source]
    assert.equal(execFileSync(process.execPath, argv, { input: bytes, encoding: 'utf8' }), 'stdin 500\n')
    writeFileSync(join(folder, 'behind'), Buffer.concat([Buffer.from('line\n'), bytes]))
    const script = `(read line; exec "$0" "$@") < ${join(folder, 'behind')}`
    assert.equal(execFileSync('bash', ['-c', script, process.execPath, ...argv], { encoding: 'utf8' }), 'stdin 500\n')
  })

  test('a named pipe, which gives packets as they come, and can be left while it is silent', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const writer = spawn('sh', ['-c', `exec cat > ${pipe}`], { stdio: ['pipe', 'ignore', 'ignore'] })
    writer.stdin.write(bytes.subarray(0, 24 + pcapRecord(SHAPE, packets[0] as (typeof packets)[0]).length))
    const end = new AbortController()
    const file = await openCaptureFile(pipe, { signal: end.signal })
    let found = 0
    for await (const batch of file.batches()) {
      while (batch.next()) found++
      if (found === 1) setTimeout(() => end.abort(), 50)
    }
    assert.equal(found, 1)
    writer.kill()
    await once(writer, 'exit')
    assert.deepEqual(openDescriptors(), [])
  })

  test('a named pipe that nobody writes to is waited for until an abort; one that somebody opens later is read, also when nothing comes', async () => {
    const pipe = join(folder, 'silent')
    execFileSync('mkfifo', [pipe])
    await assert.rejects(openCaptureFile(pipe, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
    assert.deepEqual(openDescriptors(), [])
    for (const [written, packetsOrCode] of [
      [path, packets.length],
      ['/dev/null', 'INVALID_FILE'],
    ] as const) {
      // More than there are threads to wait in.
      const others = Array.from({ length: 6 }, async (_, index) => {
        const other = join(folder, `other${index}`)
        execFileSync('mkfifo', [other])
        const end = AbortSignal.timeout(300)
        await assert.rejects(openCaptureFile(other, { signal: end }), { name: 'TimeoutError' })
        rmSync(other)
      })
      const found = lengths(pipe).then(
        ({ length }) => length,
        (error: CaptureError) => error.code,
      )
      const writer = spawn('sh', ['-c', `sleep 0.1; cat ${written} > ${pipe}`], { stdio: 'ignore' })
      assert.equal(await found, packetsOrCode)
      if (writer.exitCode === null) await once(writer, 'exit')
      await Promise.all(others)
    }
    assert.deepEqual(openDescriptors(), [])
  })

  for (const blocking of [false, true]) {
    test(`100 files, read one after another or side by side${blocking ? ', in this thread' : ''}: memory is bounded in sum`, async () => {
      const long = join(folder, 'long.pcap')
      writeFileSync(long, pcapOf(SHAPE, randomPackets(randomOf(5), 3000, 2000)))
      const openAll = () => Promise.all(Array.from({ length: 100 }, () => openCaptureFile(long, { blocking })))
      const before = heldBytes()
      const files = await openAll()
      assert.ok(heldBytes() - before < 16 * 2 ** 20, 'open')
      for (const file of files) for await (const batch of file.batches()) while (batch.next());
      assert.ok(heldBytes() - before < 2 ** 20, 'read')
      let most = 0
      let batches = 0
      for await (const batch of mergeCaptureFiles(await openAll())) {
        while (batch.next());
        if (++batches % 50 === 0) most = Math.max(most, heldBytes() - before)
      }
      assert.ok(batches > 500 && most > 0 && most < 80 * 2 ** 20, `side by side: ${most} bytes in ${batches} batches`)
    })
  }

  const ways: [string, CaptureFileOptions, slowly: boolean][] = [
    ['read ahead', {}, false],
    ['read in this thread', { blocking: true }, false],
    ['read in this thread as far as it is cached', { blocking: true }, true],
  ]
  for (const [how, options, slowly] of ways) {
    test(`a file that is longer than the buffers, with packets that are longer than their headroom, ${how}`, async (t) => {
      const long = Array.from({ length: 60 }, (_, index) => {
        const length = [60, 200_000, 1514, 262_144, 70_000][index % 5] as number
        return { bytes: new Uint8Array(length).fill(index), wireLength: length, seconds: index, nanoseconds: 0, interfaceId: 0 }
      })
      const large = join(folder, 'large.pcap')
      writeFileSync(large, pcapOf(SHAPE, long))
      // Each look at the clock is 2 ms later: no piece comes from the page cache.
      let nowMs = 0
      if (slowly) t.mock.method(performance, 'now', () => (nowMs += 2))
      await using file = await openCaptureFile(large, options)
      const found = await all(file)
      assert.deepEqual(
        found.map(({ seconds, bytes: { length } }) => [seconds, length]),
        long.map(({ seconds, bytes: { length } }) => [seconds, length]),
      )
      for (const [index, packet] of found.entries()) assert.ok(packet.bytes.every((byte) => byte === index))
      await file.close()
      assert.deepEqual(openDescriptors(), [])
    })
  }

  test('reading in this thread leaves others a turn, and an abort ends it', async () => {
    const endless = join(folder, 'endless.pcap')
    writeFileSync(endless, pcapOf(SHAPE, randomPackets(randomOf(5), 1)))
    const hole = openSync(endless, 'r+')
    ftruncateSync(hole, 2 ** 40)
    closeSync(hole)
    const end = new AbortController()
    // A record of 16 zero bytes is an empty packet.
    await using file = await openCaptureFile(endless, { blocking: true, signal: end.signal })
    setTimeout(() => end.abort(), 20)
    let found = 0
    for await (const batch of file.batches()) while (batch.next()) found++
    assert.ok(found > 0 && found < 2 ** 36, `${found} packets`)
  })
})

describe('what is told', () => {
  test('format, compression, size and interfaces when it is open, before a packet is read', async () => {
    const ng = Buffer.concat([sectionHeader(false), interfaceBlock(false, 113, 96), interfaceBlock(false), enhancedPacket(false, 1, 1n, new Uint8Array(3))])
    await using file = await openCaptureFile(pieces(gzipSync(ng)))
    assert.deepEqual([file.name, file.path, file.sizeBytes, file.format, file.compression], ['stream', undefined, undefined, 'pcapng', 'gzip'])
    assert.deepEqual(
      file.interfaces.map(({ linkTypeName, snapLengthBytes }) => [linkTypeName, snapLengthBytes]),
      [
        ['LINUX_SLL', 96],
        ['EN10MB', 0],
      ],
    )
    await using plain = await openCaptureFile(path)
    assert.deepEqual([plain.name, plain.path, plain.sizeBytes, plain.format, plain.compression], [path, path, bytes.length, 'pcap', 'none'])
  })

  test('interfaces that stand behind the first member, or piece, of a file: a pipe is not waited for', async () => {
    const interfaces = Array.from({ length: 5000 }, () => interfaceBlock(true))
    const blocks = Buffer.concat([...interfaces, enhancedPacket(true, 4999, 0n, new Uint8Array(60))])
    const late = join(folder, 'late.pcapng')
    for (const [name, source] of [
      ['plain', Buffer.concat([sectionHeader(true), blocks])],
      ['members', Buffer.concat([gzipSync(sectionHeader(true)), gzipSync(blocks)])],
      ['damaged behind them', Buffer.concat([gzipSync(sectionHeader(true)), gzipSync(Buffer.concat(interfaces)), gzipSync(blocks).subarray(0, 20)])],
    ] as const) {
      writeFileSync(late, source)
      await using file = await openCaptureFile(late)
      assert.equal(file.interfaces.length, 5000, name)
      if (name === 'damaged behind them') assert.equal((await failure(file))[1].code, 'INVALID_FILE')
      else
        assert.deepEqual(
          (await all(file)).map(({ interfaceId }) => interfaceId),
          [4999],
        )
    }
    const silent = async function* () {
      yield gzipSync(sectionHeader(true))
      await new Promise(() => {})
    }
    await using file = await openCaptureFile(silent())
    assert.equal(file.interfaces.length, 0)
  })

  test('a live capture in a pipe opens with its headers alone', async () => {
    const stream = new Readable({ read() {} })
    stream.push(Buffer.concat([sectionHeader(true), interfaceBlock(true)]))
    await using file = await openCaptureFile(stream)
    assert.equal(file.interfaces.length, 1)
    stream.push(enhancedPacket(true, 0, 5n, Uint8Array.of(1)))
    for await (const packet of file) {
      assert.deepEqual([packet.interfaceId, packet.linkType, packet.nanoseconds], [0, 1, 5000])
      break
    }
  })

  test('an owned packet, and that it is one: later batches leave it alone', async (t) => {
    const random = seededRandom(t)
    await using file = await openCaptureFile(pieces(bytes, random.between(1, 2000)))
    const found = await all(file)
    for (const [index, packet] of found.entries()) {
      const { bytes: own, wireLength, seconds, nanoseconds } = packets[index] as (typeof packets)[0]
      assert.deepEqual(packet, {
        bytes: own,
        wireLength,
        seconds,
        nanoseconds,
        hasTimestamp: true,
        interfaceId: 0,
        linkType: 1,
        flags: 0,
        dropCount: 0,
        comment: undefined,
      })
    }
  })
})

describe('batches', () => {
  test('one cursor; a batch that is left early goes on in the next one; a second reader goes on where the first stopped', async () => {
    await using file = await openCaptureFile(path)
    const found: number[] = []
    const cursors = new Set<PacketCursor>()
    for await (const batch of file.batches()) {
      cursors.add(batch)
      if (batch.next()) found.push(batch.capturedLength)
      if (found.length === 100) break
    }
    for await (const packet of file) {
      found.push(packet.bytes.length)
      if (found.length === 200) break
    }
    for await (const batch of file.batches()) {
      cursors.add(batch)
      while (batch.next()) found.push(batch.capturedLength)
    }
    assert.deepEqual(found, expected)
    assert.equal(cursors.size, 1)
    assert.deepEqual(openDescriptors(), [])
    for await (const _ of file) assert.fail('it is over')
  })

  test('two readers at once are an error', async () => {
    await using file = await openCaptureFile(path)
    const first = file.batches()
    await first.next()
    await assert.rejects(file.batches().next(), { code: 'INVALID_OPTION', message: /is being read already/ })
  })
})

describe('damage', () => {
  const cut = bytes.subarray(0, bytes.length - 3)

  test('every packet before it, then one error with place and reason; tolerant counts what is passed over', async () => {
    const offset = bytes.length - pcapRecord(SHAPE, packets.at(-1) as (typeof packets)[0]).length
    const damaged = join(folder, 'cut.pcap')
    writeFileSync(damaged, cut)
    for (const input of [damaged, pieces(cut)]) {
      await using file = await openCaptureFile(input)
      const [found, error] = await failure(file)
      assert.equal(found, 499)
      assert.equal(error.code, 'INVALID_FILE')
      assert.match(error.message, new RegExp(`^${file.name}: at byte ${offset}: the file ends after `))
      assert.ok(error.hint !== undefined)
    }
    await using tolerant = await openCaptureFile(damaged, { tolerant: true })
    assert.equal((await all(tolerant)).length, 499)
    assert.equal(tolerant.skippedBytes, cut.length - offset)
    assert.deepEqual(openDescriptors(), [])
  })

  test('gzip that is cut anywhere: packets up to there', async (t) => {
    const random = seededRandom(t)
    const whole = gzipSync(bytes)
    let before = 0
    for (const length of [
      ...Array.from({ length: 20 }, () => random.between(200, whole.length - 9)).sort((a, b) => a - b),
      whole.length - 8,
      whole.length - 1,
    ]) {
      await using file = await openCaptureFile(pieces(whole.subarray(0, length)))
      const [found, error] = await failure(file)
      assert.deepEqual([error.code, /^stream: gzip: unexpected end of file/.test(error.message)], ['INVALID_FILE', true], error.message)
      assert.ok(found >= before && found <= 500)
      before = found
    }
    assert.equal(before, 500)
  })

  test('gzip with a wrong sum: all packets, then the error; damage in its midst: packets before it', async () => {
    const wrong = gzipSync(bytes)
    wrong[wrong.length - 6] = (wrong[wrong.length - 6] as number) ^ 1
    await using file = await openCaptureFile(pieces(wrong))
    const [found, error] = await failure(file)
    assert.deepEqual([found, error.code, error.message], [500, 'INVALID_FILE', 'stream: gzip: incorrect data check'])

    const many = Buffer.concat(Array.from({ length: 40 }, () => bytes.subarray(24)))
    const torn = gzipSync(Buffer.concat([bytes, many]))
    torn.fill(0xff, torn.length / 2, torn.length / 2 + 50)
    await using halved = await openCaptureFile(pieces(torn))
    const [some, reason] = await failure(halved)
    assert.equal(reason.code, 'INVALID_FILE')
    assert.ok(some > 500 * 41 * 0.4 && some < 500 * 41 * 0.55, `${some}`)
  })

  test('zstd that is cut', { skip: 'createZstdDecompress' in zlib ? false : 'this Node.js has no zstd' }, async () => {
    const many = Buffer.concat([bytes, ...Array.from({ length: 19 }, () => bytes.subarray(24))])
    const whole = execFileSync('zstd', ['-q', '-c', '-1'], { input: many })
    await using file = await openCaptureFile(pieces(whole.subarray(0, whole.length - 5)))
    const [found, error] = await failure(file)
    assert.ok(found >= 500 && found <= 500 * 20, `${found}`)
    assert.deepEqual([error.code, error.message.startsWith('stream: zstd: ')], ['INVALID_FILE', true])
  })

  test('a bomb: 200 MiB of zeros in 200 KiB take no memory', async () => {
    const bomb = gzipSync(Buffer.concat([pcapHeader(SHAPE), Buffer.alloc(200 * 2 ** 20)]))
    await using file = await openCaptureFile(pieces(bomb, 64 * 1024))
    const before = process.memoryUsage().rss
    let found = 0
    let most = 0
    for await (const batch of file.batches()) {
      while (batch.next()) found++
      most = Math.max(most, process.memoryUsage().rss - before)
    }
    assert.equal(found, (200 * 2 ** 20) / 16)
    assert.ok(most < 60 * 2 ** 20, `${most}`)
  })
})

describe('refusals', () => {
  beforeEach(() => assert.deepEqual(openDescriptors(), []))
  after(() => assert.deepEqual(openDescriptors(), []))

  const cases: [name: string, input: unknown, options: object, error: object][] = [
    ['no such file', join(folder, 'none'), {}, { code: 'FILE_FAILED', message: /none: open: ENOENT \(no such file or directory\)$/, errnoName: 'ENOENT' }],
    ['a directory', folder, {}, { code: 'FILE_FAILED', message: /it is a directory$/ }],
    [
      'a text',
      Readable.from([Buffer.from('hello, world')]),
      {},
      { code: 'INVALID_FILE', message: 'stream: no capture file: it begins with 68 65 6c 6c, and neither pcap nor pcapng does' },
    ],
    ['nothing', Readable.from([]), {}, { code: 'INVALID_FILE', message: 'stream: no capture file: it is empty' }],
    ['two bytes', Readable.from([Buffer.of(0xd4, 0xc3)]), {}, { code: 'INVALID_FILE', message: /it begins with d4 c3/ }],
    ['half a header', Readable.from([bytes.subarray(0, 23)]), {}, { code: 'INVALID_FILE', message: /it ends after 23 of the 24 bytes of its header/ }],
    ['gzip of a text', Readable.from([gzipSync('hello, world')]), {}, { code: 'INVALID_FILE', message: /begins with 68 65/ }],
    ['half of a gzip header', Readable.from([gzipSync(bytes).subarray(0, 6)]), {}, { code: 'INVALID_FILE', message: 'stream: gzip: unexpected end of file' }],
    [
      'a stream of text',
      Readable.from(['hello'], { encoding: 'utf8' }),
      {},
      { code: 'INVALID_OPTION', message: /expected a stream of Uint8Array, got string/ },
    ],
    ['a number', 5, {}, { code: 'INVALID_OPTION', message: /got number/ }],
    ['null', null, {}, { code: 'INVALID_OPTION', message: /got null/ }],
    ['a URL of the web', new URL('https://example.com/x.pcap'), {}, { code: 'INVALID_OPTION', message: /expected a file: URL, got https:/ }],
    ['an unknown option', path, { tolerate: true }, { code: 'INVALID_OPTION', message: 'Unknown option tolerate', hint: /tolerant/ }],
    ['a wrong type', path, { tolerant: 'yes' }, { code: 'INVALID_OPTION', message: 'Expected the option tolerant to be a boolean, got yes (string)' }],
    ['no filter', path, { filter: 'tcp port' }, { code: 'INVALID_FILTER' }],
    ['a filter that rejects everything', path, { filter: 'ip and arp' }, { code: 'INVALID_FILTER', message: /rejects all packets/ }],
  ]
  for (const [name, input, options, error] of cases) {
    test(name, async () => {
      await assert.rejects(openCaptureFile(input as string, options), (thrown: Error) => {
        assert.ok(thrown instanceof CaptureError, String(thrown.stack))
        for (const [key, value] of Object.entries(error)) {
          const got: string = String((thrown as CaptureError)[key as 'code'])
          if (value instanceof RegExp) assert.match(got, value)
          else assert.equal(got, value)
        }
        return true
      })
    })
  }

  test('a stream that fails: packets before, then why', async () => {
    const broken = async function* () {
      yield* pieces(bytes.subarray(0, bytes.length / 2))
      throw new Error('the line is dead')
    }
    await using file = await openCaptureFile(broken())
    const [found, error] = await failure(file)
    assert.ok(found > 100)
    assert.deepEqual([error.code, error.message], ['FILE_FAILED', 'stream: read: the line is dead'])
  })
})

describe('ends', () => {
  test('an abort ends the iterator normally, and before the file is open throws its reason', async () => {
    const end = new AbortController()
    await using file = await openCaptureFile(pieces(bytes, 100), { signal: end.signal })
    let found = 0
    for await (const _ of file) if (++found === 10) end.abort()
    assert.ok(found >= 10 && found < 20, `${found}`)
    await assert.rejects(openCaptureFile(path, { signal: end.signal }), { name: 'AbortError' })
    const silent = new Readable({ read() {} })
    const later = new AbortController()
    setTimeout(() => later.abort(), 20)
    await assert.rejects(openCaptureFile(silent, { signal: later.signal }), { name: 'AbortError' })
    assert.ok(silent.destroyed)
  })

  test('an abort and a close while a compressed stream is silent', async () => {
    const half = gzipSync(bytes)
    for (const how of ['abort', 'close']) {
      const stream = new Readable({ read() {} })
      stream.push(half.subarray(0, half.length / 2))
      const end = new AbortController()
      await using file = await openCaptureFile(stream, { signal: end.signal })
      setTimeout(() => (how === 'abort' ? end.abort() : void file.close()), 400)
      const before = process.cpuUsage()
      let found = 0
      for await (const batch of file.batches()) while (batch.next()) found++
      assert.ok(found > 100 && found < 500)
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.ok(stream.destroyed)
      // Nothing goes round and round.
      assert.ok(process.cpuUsage(before).user < 100_000, how)
    }
  })

  test('close at any time, and twice', async () => {
    const file = await openCaptureFile(path)
    await file.close()
    await file.close()
    for await (const _ of file) assert.fail('it is closed')
    const other = await openCaptureFile(path)
    let found = 0
    for await (const _ of other) {
      found++
      await other.close()
    }
    assert.ok(found > 0)
    assert.deepEqual(openDescriptors(), [])
  })

  test('a filter finds names of services', async () => {
    const { stdout } = spawnSync('tcpdump', ['--count', '-r', path, 'port domain'], { encoding: 'utf8' })
    assert.match(stdout, new RegExp(`^${(await lengths(path, { filter: 'port domain' })).length} packet`))
  })

  test('what is read is what the file had', async () => {
    await using file = await openCaptureFile(path)
    assert.deepEqual(pcapOf(SHAPE, await all(file)), readFileSync(path))
  })
})

test('from and until: packets of a stretch of time, in both formats, with a filter or without', async () => {
  const at = (place: number) => ({ seconds: packets[place]?.seconds as number, nanoseconds: packets[place]?.nanoseconds as number })
  const ticks = ({ seconds, nanoseconds }: { seconds: number; nanoseconds: number }) => BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
  const resolution = Uint8Array.of(9, 0, 1, 0, 9, 0, 0, 0)
  const pcapng = Buffer.concat([
    sectionHeader(true),
    interfaceBlock(true, 1, 0, resolution),
    ...packets.map((packet) => enhancedPacket(true, 0, ticks(packet), packet.bytes, packet.wireLength)),
  ])
  for (const file of [bytes, pcapng]) {
    assert.deepEqual(await lengths(pieces(file), { from: at(100) }), expected.slice(100))
    assert.deepEqual(await lengths(pieces(file), { until: at(100) }), expected.slice(0, 100))
    assert.deepEqual(await lengths(pieces(file), { from: at(100), until: at(400) }), expected.slice(100, 400))
    assert.deepEqual(await lengths(pieces(file), { from: at(400), until: at(100) }), [])
    const long = packets.slice(100, 400).filter((packet) => packet.wireLength >= 100)
    assert.deepEqual(
      await lengths(pieces(file), { from: at(100), until: at(400), filter: 'greater 100' }),
      long.map((packet) => packet.bytes.length),
    )
  }
  await assert.rejects(openCaptureFile(path, { from: 5 as never }), /Expected the option from to be a time, \{ seconds, nanoseconds \}, got 5/)
})

test('hasOptions: pcap never has any, a block only where it is longer than its packet', async () => {
  const comment = Buffer.from([1, 0, 2, 0, 0x68, 0x69, 0, 0, 0, 0, 0, 0])
  const file = Buffer.concat([
    sectionHeader(true),
    interfaceBlock(true),
    ...[1, 2, 3, 4].map((length) => enhancedPacket(true, 0, 1n, new Uint8Array(length))),
    ...[1, 2, 3, 4].map((length) => enhancedPacket(true, 0, 1n, new Uint8Array(length), length, comment)),
  ])
  const found: boolean[] = []
  await using opened = await openCaptureFile(pieces(file))
  for await (const batch of opened.batches()) while (batch.next()) found.push(batch.hasOptions)
  assert.deepEqual(found, [false, false, false, false, true, true, true, true])
  await using pcap = await openCaptureFile(path)
  for await (const batch of pcap.batches()) while (batch.next()) assert.equal(batch.hasOptions, false)
})
