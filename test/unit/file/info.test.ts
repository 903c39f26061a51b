/** The figures of a file against capinfos, which prints the same. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { captureFileInfo, type FileTime, openCaptureFile } from '#src/index.js'
import { block, enhancedPacket, interfaceBlock, NANOSECONDS, pcapHeader, pcapOf, randomPackets, sectionHeader, Writer } from '../../support/capture-writer.js'
import { seededRandom } from '../../support/random.js'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-info-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string) => join(folder, name)

async function infoOf(path: string, options = {}) {
  await using file = await openCaptureFile(path)
  return await captureFileInfo(file, options)
}

/** The table of capinfos, machine-readable: a value for each column. */
function capinfos(path: string): Record<string, string> {
  const [names, values] = execFileSync('capinfos', ['-T', '-M', '-Q', '-S', path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .split('\n')
    .map((line) => line.split(/"\t"|^"|"$/).slice(1, -1)) as [string[], string[]]
  return Object.fromEntries(names.map((name, index) => [name, values[index] as string]))
}

const epoch = (time: FileTime | undefined) => `${time?.seconds}.${String(time?.nanoseconds).padStart(9, '0')}`

test('pcap, pcapng and compressed files, in and out of order, against capinfos', async (t) => {
  const random = seededRandom(t)
  const packets = randomPackets(random, 200)
  const files: Record<string, Buffer> = {
    'ordered.pcap': pcapOf({ littleEndian: true, magic: NANOSECONDS, snaplen: 65535 }, packets),
    'shuffled.pcap': pcapOf({ littleEndian: false, magic: NANOSECONDS }, [...packets.slice(50), ...packets.slice(0, 50)]),
    'equal.pcap': pcapOf({ littleEndian: true, magic: NANOSECONDS }, [packets[0], packets[0]] as typeof packets),
    'one.pcap': pcapOf({ littleEndian: true, magic: NANOSECONDS }, packets.slice(0, 1)),
    'ordered.pcap.gz': gzipSync(pcapOf({ littleEndian: true, magic: NANOSECONDS, snaplen: 65535 }, packets)),
  }
  for (const [name, bytes] of Object.entries(files)) writeFileSync(at(name), bytes)
  execFileSync('editcap', ['-F', 'pcapng', at('shuffled.pcap'), at('shuffled.pcapng')])
  for (const name of [...Object.keys(files), 'shuffled.pcapng']) {
    const info = await infoOf(at(name), { sha256: true })
    const theirs = capinfos(at(name))
    // capinfos prints two digits of some and six of others, and rounds a half its own way.
    const near = (ours: number | undefined, shown: string | undefined) => assert.ok(Math.abs((ours ?? 0) - Number(shown)) < 0.011, `${name}: ${ours}, ${shown}`)
    assert.equal(String(info.packets), theirs['Number of packets'], name)
    assert.equal(String(info.fileSizeBytes), theirs['File size (bytes)'], name)
    assert.equal(String(info.wireBytes), theirs['Data size (bytes)'], name)
    assert.equal(epoch(info.firstTime), theirs['Start time'], name)
    assert.equal(epoch(info.lastTime), theirs['End time'], name)
    assert.equal(info.durationSeconds?.toFixed(6), Number(theirs['Capture duration (seconds)']).toFixed(6), name)
    near(info.averagePacketBytes, theirs['Average packet size (bytes)'])
    assert.equal(String(info.strictTimeOrder), theirs['Strict time order']?.toLowerCase(), name)
    assert.equal(info.sha256, theirs.SHA256, name)
    if (info.durationSeconds !== 0) {
      near(info.bytesPerSecond, theirs['Data byte rate (bytes/sec)'])
      near(info.bitsPerSecond, theirs['Data bit rate (bits/sec)'])
      near(info.packetsPerSecond, theirs['Average packet rate (packets/sec)'])
    } else assert.deepEqual([info.bytesPerSecond, info.bitsPerSecond, info.packetsPerSecond], [undefined, undefined, undefined])
    assert.deepEqual(info.linkTypeNames, ['EN10MB'])
    assert.equal(
      info.capturedBytes,
      name === 'equal.pcap'
        ? 2 * (packets[0]?.bytes.length ?? 0)
        : name === 'one.pcap'
          ? packets[0]?.bytes.length
          : packets.reduce((sum, { bytes }) => sum + bytes.length, 0),
    )
    assert.equal(
      info.truncatedPackets > 0,
      packets.slice(0, info.packets === 200 ? 200 : 1).some(({ bytes, wireLength }) => wireLength > bytes.length),
    )
  }
  assert.deepEqual([(await infoOf(at('ordered.pcap'))).snapLengthBytes, (await infoOf(at('ordered.pcap.gz'))).compression], [65535, 'gzip'])
})

test('interfaces, each with its packets; sections; comments; packets without a time', async () => {
  const comment = new Writer(true).option(1, 'the first').end()
  const bytes = Buffer.concat([
    sectionHeader(true, comment),
    interfaceBlock(true, 1, 100),
    interfaceBlock(true, 101, 200),
    enhancedPacket(true, 1, 5_000_000n, new Uint8Array(10), 20),
    enhancedPacket(true, 1, 3_000_000n, new Uint8Array(10)),
    block(true, 3, new Writer(true).u32(4, 0).end()),
    sectionHeader(false),
    ...Array.from({ length: 40 }, () => interfaceBlock(false)),
    enhancedPacket(false, 39, 9_000_000n, new Uint8Array(1)),
  ])
  await using file = await openCaptureFile(Readable.from([bytes]))
  const info = await captureFileInfo(file)
  assert.deepEqual(info.linkTypeNames, ['EN10MB', 'RAW'])
  assert.equal(info.snapLengthBytes, undefined)
  assert.deepEqual([info.interfaces[0]?.packets, info.interfaces[1]?.packets, info.interfaces[41]?.packets, info.interfaces.length], [1, 2, 1, 42])
  assert.deepEqual([info.packets, info.wireBytes, info.capturedBytes, info.truncatedPackets], [4, 35, 25, 1])
  assert.deepEqual(
    [info.firstTime, info.lastTime],
    [
      { seconds: 3, nanoseconds: 0 },
      { seconds: 9, nanoseconds: 0 },
    ],
  )
  assert.equal(info.strictTimeOrder, false)
  assert.deepEqual([info.comments, info.sections.length, info.fileSizeBytes, info.sha256], [['the first'], 2, undefined, undefined])
})

test('no packets; damage; a hash of a stream', async () => {
  const shape = { littleEndian: true, magic: NANOSECONDS }
  writeFileSync(at('empty'), pcapHeader(shape))
  const empty = await infoOf(at('empty'))
  assert.deepEqual(
    [empty.packets, empty.firstTime, empty.durationSeconds, empty.averagePacketBytes, empty.strictTimeOrder],
    [0, undefined, undefined, undefined, true],
  )

  const whole = pcapOf(shape, [{ bytes: new Uint8Array(5), wireLength: 5, seconds: 1, nanoseconds: 0, interfaceId: 0 }])
  writeFileSync(at('damaged'), Buffer.concat([whole, whole.subarray(24, 30)]))
  const damaged = await infoOf(at('damaged'), { sha256: true })
  assert.equal(damaged.packets, 1)
  assert.deepEqual([damaged.damage?.code, /at byte 45: the file ends after/.test(damaged.damage?.message ?? '')], ['INVALID_FILE', true])
  assert.equal(
    damaged.sha256,
    createHash('sha256')
      .update(readFileSync(at('damaged')))
      .digest('hex'),
  )

  await using stream = await openCaptureFile(Readable.from([whole]))
  await assert.rejects(captureFileInfo(stream, { sha256: true }), { code: 'INVALID_OPTION', message: 'stream: a hash is made of a regular file only' })
})
