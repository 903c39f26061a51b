/** What createCaptureFile writes, as tshark, capinfos, tcpdump and editcap read it; and what becomes of it when writing fails. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { after, type TestContext, test } from 'node:test'
import { inspect, promisify } from 'node:util'
import zlib from 'node:zlib'
import { CaptureError } from '#src/errors.js'
import type { CaptureFileWriter, CreateCaptureFileOptions, FileEvent, FileInterface, PacketToWrite } from '#src/file/capture-file.js'
import { interfaceForWriting } from '#src/file/carry.js'
import { createCaptureFile } from '#src/file/create.js'
import { encodeCustom, encodeNames, encodeSecrets } from '#src/file/encode-pcapng.js'
import { strftime } from '#src/file/strftime.js'
import { type FilePacket, openCaptureFile } from '#src/reader.js'
import { capinfos, requireTools, tcpdumpLines, tsharkFields } from '../../support/capture-tools.js'
import { openDescriptors } from '../../support/live.js'
import { type Random, seededRandom } from '../../support/random.js'
import { readStrictly, textOf } from '../../support/strict-capture.js'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-create-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const hasZstd = 'zstdCompressSync' in zlib

function randomPacket(random: Random, interfaces: number): PacketToWrite {
  const length = random.oneIn(20) ? random.between(0, 9000) : random.between(14, 200)
  const offset = random.oneIn(3) ? random.between(1, 50) : 0
  const bytes = new Uint8Array(offset + length + random.between(0, 9))
  bytes.set(random.bytes(Math.min(64, length)), offset)
  return {
    bytes,
    offset,
    capturedLength: length,
    seconds: random.oneIn(50) ? 0xffff_ffff : random.between(0, 0x7fff_ffff),
    nanoseconds: random.between(0, 999_999_999),
    wireLength: random.oneIn(2) ? length : length + random.between(0, 60_000),
    interfaceId: random.between(0, interfaces - 1),
    ...(random.oneIn(10) ? { comment: random.pick(['a', 'ähm', 'comment with words', 'x'.repeat(300)]) } : {}),
    ...(random.oneIn(10) ? { flags: random.pick([1, 2, 5, 14]) } : {}),
    ...(random.oneIn(20) ? { dropCount: random.word() } : {}),
    ...(random.oneIn(20) ? { queue: random.between(0, 63) } : {}),
  }
}

async function writeAll(writer: CaptureFileWriter, packets: readonly PacketToWrite[]): Promise<void> {
  for (const packet of packets) if (!writer.write(packet)) await writer.flush()
}

function capturedOf({ bytes, offset = 0, capturedLength = 0 }: PacketToWrite): Uint8Array {
  return bytes.subarray(offset, offset + capturedLength)
}

/** What stands in a file, uncompressed. */
function contentOf(path: string): Uint8Array {
  const file = readFileSync(path)
  if (path.endsWith('.gz')) return zlib.gunzipSync(file)
  return path.endsWith('.zst') ? (zlib as unknown as { zstdDecompressSync: (bytes: Uint8Array) => Buffer }).zstdDecompressSync(file) : file
}

const SHAPES: [name: string, options: CreateCaptureFileOptions][] = [
  ['ns.pcap', {}],
  ['us.pcap', { precision: 'us' }],
  ['ns.pcapng', {}],
  ['us.pcapng', { precision: 'us' }],
  ['plain', {}],
  ['unbuffered.pcapng', { unbuffered: true }],
  ['unbuffered.pcap', { unbuffered: true }],
  ['g.pcap.gz', {}],
  ['g.pcapng.gz', { compressionLevel: 6 }],
  ['unbuffered.pcapng.gz', { unbuffered: true }],
  ...(hasZstd
    ? ([
        ['z.pcap.zst', {}],
        ['z.pcapng.zst', {}],
      ] as [string, CreateCaptureFileOptions][])
    : []),
]

for (const [name, options] of SHAPES) {
  test(`random packets come back byte for byte: ${name} ${JSON.stringify(options)}`, async (t) => {
    const random = seededRandom(t)
    const packets = Array.from({ length: name.startsWith('unbuffered') ? 300 : 5000 }, () => randomPacket(random, 2))
    const path = join(folder, name)
    const writer = await createCaptureFile(path, { ...options, interfaces: [{ name: 'eth0' }, { name: 'eth1' }] })
    await writeAll(writer, packets)
    await writer.close()
    assert.deepEqual([writer.packets, writer.dropped], [packets.length, 0])
    const read = readStrictly(contentOf(path))
    const isPcap = /\.pcap(\.|$)/.test(name)
    assert.equal(read.format, isPcap ? 'pcap' : 'pcapng')
    const unit = options.precision === 'us' ? 1000 : 1
    assert.equal(read.packets.length, packets.length)
    for (const [index, packet] of packets.entries()) {
      const found = read.packets[index] as (typeof read.packets)[number]
      const fraction = Math.floor(packet.nanoseconds / unit) * unit
      assert.equal(found.time, BigInt(packet.seconds) * 1_000_000_000n + BigInt(fraction))
      assert.ok(Buffer.from(found.bytes).equals(capturedOf(packet)))
      assert.equal(found.wireLength, packet.wireLength)
      if (isPcap) continue
      assert.equal(found.interfaceId, packet.interfaceId)
      assert.deepEqual(textOf(found.options, 1), packet.comment === undefined ? [] : [packet.comment])
      const word = (code: number) => found.options.find(([own]) => own === code)?.[1]
      assert.deepEqual(word(2), packet.flags === undefined ? undefined : Uint8Array.of(packet.flags, 0, 0, 0))
      assert.equal(word(4) === undefined ? undefined : Number(Buffer.from(word(4) as Uint8Array).readBigUInt64LE()), packet.dropCount)
      assert.equal(word(6) === undefined ? undefined : (word(6) as Uint8Array)[0], packet.queue)
    }
    if (name.startsWith('g')) assert.equal(spawnSync('gzip', ['-t', path]).status, 0)
    if (name.startsWith('z.')) assert.equal(spawnSync('zstd', ['-qt', path]).status, 0)
    rmSync(path)
  })
}

test('zstd where Node.js has none says so, before anything is opened', { skip: hasZstd }, async () => {
  const path = join(folder, 'none.pcap.zst')
  await assert.rejects(createCaptureFile(path), (error) => error instanceof CaptureError && error.code === 'UNSUPPORTED_PLATFORM')
  assert.ok(!existsSync(path))
})

for (const name of ['t.pcap', 't.pcapng', 't.pcapng.gz', ...(hasZstd ? ['t.pcapng.zst'] : [])]) {
  test(`tshark, tcpdump and editcap read ${name} packet by packet`, async (t) => {
    if (!requireTools(t, 'tshark', 'capinfos', 'tcpdump', 'editcap')) return
    const random = seededRandom(t)
    const isPcap = name === 't.pcap'
    const packets = Array.from({ length: 2000 }, (): PacketToWrite => ({ ...randomPacket(random, 2), seconds: random.between(1, 0x7fff_ffff) })).filter(
      ({ wireLength = 0 }) => wireLength <= 262_144,
    )
    const path = join(folder, name)
    const writer = await createCaptureFile(path, { interfaces: [{ name: 'eth0' }, { name: 'eth1' }], unbuffered: false })
    await writeAll(writer, packets)
    await writer.close()

    const fields = ['frame.time_epoch', 'frame.cap_len', 'frame.len', ...(isPcap ? [] : ['frame.interface_name', 'frame.packet_flags', 'frame.comment'])]
    const rows = tsharkFields(path, ...fields)
    assert.equal(rows.length, packets.length)
    const timeOf = ({ seconds, nanoseconds }: PacketToWrite) => `${seconds}.${String(nanoseconds).padStart(9, '0')}`
    for (const [index, packet] of packets.entries()) {
      const expected = [timeOf(packet), String(packet.capturedLength), String(packet.wireLength)]
      if (!isPcap)
        expected.push(
          `eth${packet.interfaceId}`,
          packet.flags === undefined ? '' : `0x${packet.flags.toString(16).padStart(8, '0')}`,
          (packet.comment as string) ?? '',
        )
      assert.deepEqual(rows[index], expected, `packet ${index}`)
    }

    const plain = join(folder, `edited-${name}.pcap`)
    execFileSync('editcap', ['-F', 'nsecpcap', path, plain], { stdio: 'ignore' })
    const edited = readStrictly(readFileSync(plain)).packets
    assert.equal(edited.length, packets.length)
    for (const [index, packet] of packets.entries()) assert.ok(Buffer.from(edited[index]?.bytes as Uint8Array).equals(capturedOf(packet)))

    if (/[gz]z$|st$/.test(name)) return
    const tcpdump = spawnSync('tcpdump', ['-r', path, '--time-stamp-precision=nano', '-w', `${plain}.tcpdump`], { encoding: 'utf8' })
    assert.equal(tcpdump.status, 0, tcpdump.stderr)
    const copied = readStrictly(readFileSync(`${plain}.tcpdump`)).packets
    assert.deepEqual(
      copied.map(({ time, wireLength }) => [time, wireLength]),
      packets.map(({ seconds, nanoseconds, wireLength }) => [BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds), wireLength]),
    )
    assert.equal(tcpdumpLines(path).at(-1)?.replace(/\D/g, ''), String(packets.length))
  })
}

test('capinfos shows what the section and the interfaces say, and the statistics', async (t) => {
  if (!requireTools(t, 'tshark', 'capinfos')) return
  const path = join(folder, 'info.pcapng')
  const writer = await createCaptureFile(path, {
    section: { hardware: 'machine', os: 'Linux 6.18', application: 'ringtap 1', comments: 'a trigger' },
    snapLengthBytes: 96,
    interfaces: [{ name: 'eth0', description: 'the wire', filter: 'udp port 53', os: 'Linux', hardware: 'ixgbe', speedBitsPerSecond: 10_000_000_000 }],
  })
  const second = writer.addInterface({ name: 'any', linkType: 'LINUX_SLL2', snapLengthBytes: 1000 })
  assert.equal(second, 1)
  writer.write({ bytes: new Uint8Array(200), seconds: 1, nanoseconds: 0 })
  writer.write({ bytes: new Uint8Array(200), seconds: 2, nanoseconds: 0, interfaceId: 1 })
  writer.comment('of its own')
  writer.write({ bytes: new Uint8Array(20), seconds: 3, nanoseconds: 0, comment: ['first', 'second'] })
  writer.statistics(0, {
    at: { seconds: 3, nanoseconds: 0 },
    start: { seconds: 1, nanoseconds: 0 },
    end: { seconds: 3, nanoseconds: 0 },
    received: 10,
    droppedByInterface: 1,
    filterAccepted: 9,
    droppedBySystem: 2,
    delivered: 7,
    comments: 'done',
  })
  await writer.close()
  const text = capinfos(path)
  for (const [key, value] of Object.entries({
    'Capture hardware': 'machine',
    'Capture oper-sys': 'Linux 6.18',
    'Capture application': 'ringtap 1',
    'Capture comment': 'a trigger',
    'Number of packets': '3',
  }))
    assert.match(text, new RegExp(`^${key}: +${value}$`, 'm'))
  for (const line of [
    'Name = eth0',
    'Description = the wire',
    'Hardware = ixgbe',
    'Speed = 10000000000',
    'Capture length = 96',
    'Filter string = udp port 53',
    'Operating system = Linux',
    'Number of stat entries = 1',
    'Name = any',
    'Linux cooked-mode capture v2',
    'Capture length = 1000',
  ])
    assert.ok(text.includes(line), `${line}\n${text}`)
  assert.deepEqual(tsharkFields(path, 'frame.cap_len', 'frame.len', 'frame.comment'), [
    ['96', '200', ''],
    ['200', '200', ''],
    ['20', '20', 'of its own,first,second'],
  ])
  const { blocks } = readStrictly(readFileSync(path))
  assert.deepEqual(
    blocks.map(({ type }) => type),
    [0x0a0d0d0a, 1, 1, 5],
  )
  assert.deepEqual(
    blocks[3]?.options.map(([code]) => code),
    [1, 2, 3, 4, 5, 6, 7, 8],
  )
})

test('blocks that are passed through are read: names, secrets, custom and unknown ones', async (t) => {
  if (!requireTools(t, 'tshark')) return
  const path = join(folder, 'blocks.pcapng')
  const writer = await createCaptureFile(path)
  for (const block of [
    encodeNames([{ address: Uint8Array.of(192, 0, 2, 7), names: ['named.example'] }]),
    encodeSecrets(0x544c534b, new TextEncoder().encode('CLIENT_RANDOM 00 00\n')),
    encodeCustom(32473, Uint8Array.of(1, 2, 3), true),
  ])
    writer.block(new DataView(block.buffer).getUint32(0, true), block.subarray(8, -4))
  writer.block(0x12345, Uint8Array.of(1))
  const ip = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 8]
  writer.write({ bytes: Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, ...ip]), seconds: 1, nanoseconds: 0 })
  await writer.close()
  assert.deepEqual(
    readStrictly(readFileSync(path)).blocks.map(({ type }) => type),
    [0x0a0d0d0a, 1, 4, 10, 0xbad, 0x12345],
  )
  const { stdout } = spawnSync('tshark', ['-NnN', '-r', path, '-T', 'fields', '-e', 'ip.src_host'], { encoding: 'utf8' })
  assert.equal(stdout.trim(), 'named.example')
})

test('rotation by size makes the very files that tcpdump makes', async (t) => {
  if (!requireTools(t, 'tcpdump')) return
  const random = seededRandom(t)
  const source = join(folder, 'source.pcap')
  const packets = Array.from({ length: 15_000 }, (): PacketToWrite => ({ ...randomPacket(random, 1), wireLength: undefined }))
  const writer = await createCaptureFile(source, { precision: 'us' })
  await writeAll(writer, packets)
  await writer.close()
  for (const files of [undefined, 2, 11]) {
    const theirs = join(folder, `theirs${files}`)
    const ours = join(folder, `ours${files}`)
    execFileSync('mkdir', [theirs, ours])
    execFileSync('tcpdump', ['-r', source, '-Z', 'root', '-C', '1', ...(files === undefined ? [] : ['-W', String(files)]), '-w', join(theirs, 'f%d.pcap')], {
      stdio: 'ignore',
    })
    const split = await createCaptureFile(join(ours, 'f%d.pcap'), { precision: 'us', rotation: { sizeBytes: 1_000_000, files } })
    await writeAll(split, packets)
    await split.close()
    const names = readdirSync(theirs).sort()
    assert.ok(names.length >= 2, names.join())
    assert.deepEqual(readdirSync(ours).sort(), names)
    for (const name of names) assert.ok(readFileSync(join(ours, name)).equals(readFileSync(join(theirs, name))), name)
  }
})

test('rotation by time follows the packets, each file complete in itself', async () => {
  const path = join(folder, 'hour-%Y%m%d-%H%M%S.pcapng')
  const writer = await createCaptureFile(path, { interfaces: [{ name: 'eth0' }], rotation: { seconds: 60 } })
  const added = writer.addInterface({ name: 'eth1' })
  const times = [1000, 1030, 1059.5, 1060, 1119, 1500, 1559, 1560]
  for (const time of times) writer.write({ bytes: new Uint8Array(60), seconds: Math.floor(time), nanoseconds: (time % 1) * 1e9, interfaceId: added })
  await writer.close()
  const found = [1000, 1060, 1500, 1560].map((begin) => {
    const read = readStrictly(readFileSync(strftime(path, new Date(begin * 1000))))
    assert.deepEqual(
      read.blocks.map(({ type }) => type),
      [0x0a0d0d0a, 1, 1],
    )
    return read.packets.map(({ time }) => Number(time) / 1e9)
  })
  assert.deepEqual(found, [[1000, 1030, 1059.5], [1060, 1119], [1500, 1559], [1560]])
})

test('with -G and -W the last file is the last: what comes later is dropped, and said so', async () => {
  const path = join(folder, 'last-%s.pcap')
  const writer = await createCaptureFile(path, { rotation: { seconds: 10, files: 2 } })
  const answers = [0, 9, 10, 19, 20, 30].map((seconds) => writer.write({ bytes: new Uint8Array(60), seconds, nanoseconds: 0 }))
  assert.deepEqual(answers, [true, true, true, true, false, false])
  assert.deepEqual([writer.isFull, writer.packets, writer.dropped], [true, 4, 2])
  await writer.close()
  assert.equal(readStrictly(readFileSync(join(folder, 'last-10.pcap'))).packets.length, 2)
})

test('compressed files are rotated and each can be read', async (t) => {
  const random = seededRandom(t)
  const path = join(folder, 'many.pcap.gz')
  const writer = await createCaptureFile(path, { rotation: { sizeBytes: 100_000 } })
  const packets = Array.from({ length: 40_000 }, () => ({ bytes: random.bytes(100), seconds: 1, nanoseconds: 0 }))
  await writeAll(writer, packets)
  await writer.close()
  const names = readdirSync(folder).filter((name) => name.startsWith('many.pcap.gz'))
  assert.ok(names.length >= 2, names.join())
  const ordered = names.sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
  const read = ordered.flatMap((name) => readStrictly(zlib.gunzipSync(readFileSync(join(folder, name)))).packets)
  assert.equal(read.length, packets.length)
  assert.ok(read.every(({ bytes }, index) => Buffer.from(bytes).equals(packets[index]?.bytes as Uint8Array)))
})

test('a stream is given the file, and is waited for', async () => {
  const slow = new PassThrough({ highWaterMark: 1000 })
  const chunks: Buffer[] = []
  const writer = await createCaptureFile(slow, { format: 'pcap' })
  const packet = { bytes: new Uint8Array(1000), seconds: 1, nanoseconds: 0 }
  let waited = 0
  const reading = (async () => {
    for await (const chunk of slow) chunks.push(chunk as Buffer)
  })()
  for (let count = 0; count < 3000; count++)
    if (!writer.write(packet)) {
      waited++
      await writer.flush()
    }
  await writer.close()
  await reading
  assert.ok(waited > 0)
  assert.equal(readStrictly(Buffer.concat(chunks)).packets.length, 3000)
  assert.equal(writer.path, undefined)
})

test('a stream that fails is told once, and what it did not take is counted', async () => {
  const broken = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('no space'), { errno: -28, code: 'ENOSPC' })) })
  const writer = await createCaptureFile(broken, { unbuffered: true })
  let told = 0
  for (let count = 0; count < 10; count++) {
    try {
      writer.write({ bytes: new Uint8Array(60), seconds: 1, nanoseconds: 0 })
      await promisify(setImmediate)()
    } catch (error) {
      assert.ok(error instanceof CaptureError && error.errnoName === 'ENOSPC')
      told++
    }
  }
  await writer.close().catch(() => told++)
  assert.equal(told, 1)
  assert.deepEqual([writer.packets, writer.dropped], [0, 10])
})

test('a limit on the file (ulimit -f) cuts it after the last whole record; the error is told once, the rest counted', (t: TestContext) => {
  if (!requireTools(t, 'bash')) return
  for (const name of ['limited.pcap', 'limited.pcapng']) {
    const path = join(folder, name)
    const program = `
      import { createCaptureFile } from ${JSON.stringify(import.meta.resolve('#src/file/create.js'))}
      const writer = await createCaptureFile(process.argv[1])
      const told = []
      for (let i = 0; i < 20000; i++) try { writer.write({ bytes: new Uint8Array(101), seconds: i, nanoseconds: 1 }) } catch (error) { told.push(error.code + ' ' + error.errnoName) }
      await writer.close().catch((error) => told.push(error.message))
      console.log(JSON.stringify({ told, packets: writer.packets, dropped: writer.dropped }))`
    const { stdout, stderr } = spawnSync('bash', ['-c', `ulimit -f 700; exec "$NODE" --input-type=module -e "$PROGRAM" ${path}`], {
      env: { ...process.env, NODE: process.execPath, PROGRAM: program },
      encoding: 'utf8',
    })
    assert.equal(stderr, '')
    const { told, packets, dropped } = JSON.parse(stdout) as { told: string[]; packets: number; dropped: number }
    assert.deepEqual(told, ['FILE_FAILED EFBIG'])
    assert.equal(packets + dropped, 20_000)
    const read = readStrictly(readFileSync(path))
    assert.equal(read.packets.length, packets)
    // No record more would fit.
    assert.ok(statSync(path).size > 700 * 1024 - 200)
  }
})

test('a reader of stdout that goes away ends it with EPIPE, once', async () => {
  const program = `
    import { createCaptureFile } from ${JSON.stringify(import.meta.resolve('#src/file/create.js'))}
    const writer = await createCaptureFile('-', { format: 'pcap' })
    const told = []
    for (let i = 0; i < 50000; i++) try { writer.write({ bytes: new Uint8Array(100), seconds: i, nanoseconds: 1 }) } catch (error) { told.push(error.errnoName) }
    await writer.close().catch((error) => told.push(error.message))
    console.error(JSON.stringify({ told, sum: writer.packets + writer.dropped, dropped: writer.dropped > 0 }))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(child.stdout, 'data')
  child.stdout.destroy()
  await once(child, 'close')
  const { told, sum, dropped } = JSON.parse(Buffer.concat(chunks).toString()) as { told: string[]; sum: number; dropped: boolean }
  assert.deepEqual([told, sum, dropped], [['EPIPE'], 50_000, true])
})

test('stdout through a pipe is what tshark reads', async (t) => {
  if (!requireTools(t, 'tshark')) return
  const program =
    `
    import { createCaptureFile } from ${JSON.stringify(import.meta.resolve('#src/file/create.js'))}
    await using writer = await createCaptureFile('-')
    for (let i = 0; i < 20000; i++) writer.write({ bytes: new Uint8Array(100), seconds: i, nanoseconds: 1 })`.replace('await using', 'const') +
    '\n    await writer.close()'
  const { stdout } = spawnSync('sh', ['-c', `"$NODE" --input-type=module -e "$PROGRAM" | tshark -n -r - -T fields -e frame.time_epoch | tail -1`], {
    env: { ...process.env, NODE: process.execPath, PROGRAM: program },
    encoding: 'utf8',
  })
  assert.equal(stdout.trim(), '19999.000000001')
})

test('options and packets that cannot be are refused, and leave nothing behind', async () => {
  const path = join(folder, 'refused.pcap')
  const invalid = (message: RegExp) => (error: unknown) => error instanceof CaptureError && error.code === 'INVALID_OPTION' && message.test(error.message)
  const cases: [CreateCaptureFileOptions, RegExp][] = [
    [{ format: 'erf' as 'pcap' }, /format to be one of pcap, pcapng, got erf/],
    [{ precision: 'ms' as 'us' }, /precision/],
    [{ linkType: 'NOPE' as 'RAW' }, /linkType/],
    [{ linkType: 70_000 }, /linkType.*70000/],
    [{ snapLengthBytes: 0 }, /snapLengthBytes/],
    [{ compression: 'lzma' as 'gzip' }, /compression to be one of gzip, zstd, got lzma/],
    [{ compression: 'gzip', compressionLevel: 10 }, /compressionLevel to be 1 to 9, got 10/],
    [{ interfaces: [{ linkType: 'RAW' }] }, /one link type/],
    [{ interfaces: [{ macAddress: new Uint8Array(5) }], format: 'pcapng' }, /macAddress to be 6 bytes/],
    [{ format: 'pcapng', section: { comments: 'x'.repeat(70_000) } }, /too long for pcapng/],
    [{ rotation: { files: 2 } }, /files needs/],
  ]
  for (const [options, message] of cases) await assert.rejects(createCaptureFile(path, options), invalid(message), String(message))
  await assert.rejects(createCaptureFile('/dev/null', { rotation: { sizeBytes: 1 } }), invalid(/regular files/))
  await assert.rejects(createCaptureFile(new PassThrough(), { rotation: { sizeBytes: 1 } }), invalid(/stream/))
  const writer = await createCaptureFile(path, { format: 'pcapng' })
  const packet = { bytes: new Uint8Array(60), seconds: 1, nanoseconds: 0 }
  for (const wrong of [
    { seconds: -1 },
    { seconds: Number.NaN },
    { seconds: 2 ** 40 },
    { nanoseconds: 1e9 },
    { nanoseconds: -1 },
    { offset: 1, capturedLength: 60 },
    { offset: -1 },
    { capturedLength: -1 },
    { capturedLength: Number.NaN },
    { wireLength: -1 },
    { wireLength: 59 },
    { capturedLength: 20, wireLength: 19 },
    { interfaceId: 1 },
    { interfaceId: 0.5 },
    { seconds: 1_700_000_000.75 },
    { nanoseconds: 0.5 },
    { capturedLength: 10.5 },
    { offset: 0.5 },
    { wireLength: 60.5 },
    { wireLength: 2 ** 32 },
    { dropCount: -1 },
    { dropCount: 1.5 },
    { flags: -1 },
    { flags: 2 ** 32 },
    { queue: 0.5 },
    { packetId: -1n },
    { packetId: 2n ** 64n },
    { comment: 'x'.repeat(70_000) },
  ])
    assert.throws(() => writer.write({ ...packet, ...wrong }), { code: 'INVALID_OPTION' }, inspect(wrong).slice(0, 80))
  assert.throws(() => writer.comment('x'.repeat(70_000)), invalid(/65535/))
  assert.throws(() => writer.statistics(1, { at: { seconds: 0, nanoseconds: 0 } }), invalid(/interfaceId 1/))
  writer.write(packet)
  await writer.discard()
  assert.throws(() => writer.write(packet), invalid(/closed/))
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('refused')),
    [],
  )
})

test('what is read of interfaces and packets is written again: transformed, all else as it was', async () => {
  const first = join(folder, 'first.pcapng')
  const interfaces: FileInterface[] = [
    {
      name: 'eth0',
      description: 'uplink',
      filter: 'tcp port 80',
      os: 'Linux',
      hardware: 'a NIC',
      macAddress: Uint8Array.of(2, 0, 94, 16, 0, 1),
      speedBitsPerSecond: 10_000_000_000,
      addresses: ['192.0.2.1/255.255.255.0', '2001:db8::1/64'],
      fcsBytes: 4,
      snapLengthBytes: 9000,
      comments: ['one', 'two'],
    },
    { name: 'tun0', linkType: 'RAW' },
    {},
  ]
  {
    await using writer = await createCaptureFile(first, { interfaces: interfaces.slice(0, 2) })
    writer.write({ bytes: new Uint8Array(60), seconds: 1, nanoseconds: 2, interfaceId: 1, comment: 'c', flags: 2, dropCount: 7 })
    writer.write({ bytes: new Uint8Array(60), seconds: 0, nanoseconds: 0, hasTimestamp: false })
    writer.addInterface(interfaces[2])
    writer.write({ bytes: new Uint8Array(60), seconds: 3, nanoseconds: 4, interfaceId: 2, wireLength: 70 })
  }
  const again = join(folder, 'again.pcapng')
  {
    await using read = await openCaptureFile(first)
    await using written = await createCaptureFile(again, { interfaces: read.interfaces.map(interfaceForWriting) })
    let described = read.interfaces.length
    for await (const packet of read) {
      for (const added of read.interfaces.slice(described)) written.addInterface(interfaceForWriting(added))
      described = read.interfaces.length
      written.write({ ...packet, bytes: packet.bytes.fill(1) })
    }
    assert.equal(written.dated, 0)
  }
  const all = async (path: string) => {
    await using file = await openCaptureFile(path)
    const packets: FilePacket[] = []
    for await (const packet of file) packets.push(packet)
    return { interfaces: file.interfaces, packets }
  }
  const before = await all(first)
  const after = await all(again)
  assert.deepEqual(after.interfaces, before.interfaces)
  assert.deepEqual(
    after.packets,
    before.packets.map((packet) => ({ ...packet, bytes: packet.bytes.fill(1) })),
  )
  const given = before.interfaces as unknown as FileInterface[]
  await assert.rejects(createCaptureFile(again, { interfaces: given }), { code: 'INVALID_OPTION', hint: /interfaceForWriting/ })
})

test('a file that is not whole has its name where nothing has that', async () => {
  const path = join(folder, 'partial.pcap')
  const packet = { bytes: new Uint8Array(60), seconds: 1, nanoseconds: 0 }
  const lengths: number[] = []
  for (const expected of [path, `${path}.partial`, `${path}.partial-2`]) {
    const writer = await createCaptureFile(path)
    for (let count = 0; count <= lengths.length; count++) writer.write(packet)
    await writer.closePartial()
    await writer.close()
    assert.equal(writer.path, expected)
    lengths.push(readStrictly(readFileSync(expected)).packets.length)
  }
  assert.deepEqual(lengths, [1, 2, 3])
  assert.equal(readStrictly(readFileSync(path)).packets.length, 1)
})

test('a packet without a time: in pcapng of the first interface and without options, else one is dated', async () => {
  const path = join(folder, 'undated.pcapng')
  const writer = await createCaptureFile(path, { interfaces: [{ snapLengthBytes: 50 }, {}] })
  const packet = { bytes: new Uint8Array(60).fill(1), seconds: 0, nanoseconds: 0, hasTimestamp: false }
  writer.write(packet)
  writer.write({ ...packet, capturedLength: 7, wireLength: 7 })
  // What a reader would take for 50 bytes.
  writer.write({ ...packet, capturedLength: 40, wireLength: 60 })
  writer.write({ ...packet, interfaceId: 1 })
  writer.write({ ...packet, comment: 'said' })
  await writer.close()
  assert.equal(writer.dated, 3)
  await using file = await openCaptureFile(path)
  const found: [boolean, number, number][] = []
  for await (const { hasTimestamp, bytes, wireLength } of file) found.push([hasTimestamp, bytes.length, wireLength])
  assert.deepEqual(found, [
    [false, 50, 60],
    [false, 7, 7],
    [true, 40, 60],
    [true, 60, 60],
    [true, 50, 60],
  ])
})

test('packets without a time fill files of a series, and the first that has one replaces none of them', async () => {
  for (const [ending, compression] of [
    ['', 'none'],
    ['.gz', 'gzip'],
  ] as const) {
    const path = join(folder, `late-time.pcapng${ending}`)
    const finished: string[] = []
    const onEvent = (event: FileEvent) => void (event.type === 'file-finished' && finished.push(event.path))
    const writer = await createCaptureFile(path, { compression, unbuffered: true, rotation: { sizeBytes: 1000 }, onEvent })
    for (let index = 0; index < 30; index++) {
      writer.write({
        bytes: Buffer.concat([Buffer.of(index), randomBytes(299)]),
        seconds: index < 20 ? 0 : 1_000_000 + index,
        nanoseconds: 0,
        hasTimestamp: index >= 20,
      })
      await writer.flush()
    }
    await writer.close()
    assert.ok(finished.length > 3, `${finished.length} files`)
    assert.deepEqual(
      finished,
      finished.map((_, index) => (index === 0 ? path : `${path}${index}`)),
    )
    const numbers: number[] = []
    for (const name of finished) {
      await using file = await openCaptureFile(name)
      for await (const { bytes } of file) numbers.push(bytes[0] as number)
    }
    assert.deepEqual(
      numbers,
      Array.from({ length: 30 }, (_, index) => index),
    )
  }
})

test('descriptors are given back', async () => {
  const ours = () => openDescriptors().filter((target) => target.startsWith(folder))
  for (const name of ['d.pcap', 'd.pcapng.gz']) {
    const writer = await createCaptureFile(join(folder, name), { rotation: { sizeBytes: 1000 } })
    for (let count = 0; count < 100; count++) writer.write({ bytes: new Uint8Array(100), seconds: 1, nanoseconds: 0 })
    await writer.close()
    await writer.close()
  }
  assert.deepEqual(ours(), [])
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('.')),
    [],
  )
})
