/** Files that other programs wrote, in every format and compression that we read, packet by packet against tshark. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type CaptureFileOptions, type FilePacket, openCaptureFile } from '#src/index.js'
import { MICROSECONDS, MODIFIED, NANOSECONDS, pcapOf, randomPackets } from '../../support/capture-writer.js'
import { randomFrame } from '../../support/filter-packets.js'
import { randomOf } from '../../support/random.js'
import { asTshark, tsharkPackets } from '../../support/tshark.js'

async function packetsOf(path: string, options: CaptureFileOptions = {}): Promise<FilePacket[]> {
  await using file = await openCaptureFile(path, options)
  const packets: FilePacket[] = []
  for await (const packet of file) packets.push(packet)
  return packets
}

async function sameAsTshark(path: string, least = 1): Promise<void> {
  const expected = tsharkPackets(path)
  assert.ok(expected.length >= least, `${path}: ${expected.length} packets`)
  assert.deepEqual((await packetsOf(path)).map(asTshark), expected, path)
}

describe('files of others', () => {
  let folder: string
  const at = (name: string) => join(folder, name)
  const run = (command: string, ...argv: string[]) => execFileSync(command, argv, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 30 })

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'ringtap-oracle-'))
    const random = randomOf(5)
    const packets = randomPackets(random, 300).map((packet) => {
      const bytes = randomFrame(random, 60)
      return { ...packet, bytes, wireLength: bytes.length }
    })
    writeFileSync(at('seed.pcap'), pcapOf({ littleEndian: true, magic: NANOSECONDS }, packets))
    run('randpkt', '-b', '400', '-c', '150', '-t', 'dns', at('randpkt.pcap'))
    run('editcap', '-F', 'pcapng', at('randpkt.pcap'), at('randpkt.pcapng'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  for (const format of ['pcap', 'nsecpcap', 'modpcap', 'pcapng']) {
    test(`editcap -F ${format}`, async () => {
      run('editcap', '-F', format, at('seed.pcap'), at(format))
      await sameAsTshark(at(format), 300)
      run('editcap', '-F', format, '-s', '40', at('seed.pcap'), at(`${format}-cut`))
      await sameAsTshark(at(`${format}-cut`), 300)
    })
  }

  test('both byte orders of every magic number', async () => {
    const packets = randomPackets(randomOf(6), 50)
    for (const magic of [MICROSECONDS, NANOSECONDS, MODIFIED]) {
      for (const littleEndian of [true, false]) {
        writeFileSync(at('order'), pcapOf({ littleEndian, magic }, packets))
        await sameAsTshark(at('order'), 50)
      }
    }
  })

  test('tcpdump -w, in microseconds and nanoseconds', async () => {
    for (const precision of ['micro', 'nano']) {
      run('tcpdump', '-r', at('seed.pcap'), '-w', at(precision), `--time-stamp-precision=${precision}`)
      await sameAsTshark(at(precision), 300)
    }
  })

  test('text2pcap, randpkt, and mergecap of several link types and interfaces', async () => {
    writeFileSync(at('text'), '0000 02 00 5e 10 00 01 02 00 00 00 00 02 08 00 45 00 00 14\n0000 01 02 03 04\n')
    run('text2pcap', '-F', 'pcapng', at('text'), at('text.pcapng'))
    await sameAsTshark(at('text.pcapng'), 2)
    await sameAsTshark(at('randpkt.pcapng'), 150)
    run('text2pcap', '-l', '101', '-F', 'pcapng', at('text'), at('raw.pcapng'))
    run('mergecap', '-F', 'pcapng', '-I', 'none', '-w', at('merged'), at('seed.pcap'), at('raw.pcapng'), at('randpkt.pcapng'))
    await sameAsTshark(at('merged'), 452)
    await using file = await openCaptureFile(at('merged'))
    for await (const batch of file.batches()) while (batch.next());
    assert.deepEqual(
      file.interfaces.map(({ linkTypeName }) => linkTypeName),
      ['EN10MB', 'RAW', 'EN10MB'],
    )
  })

  test('sections one after another: files of pcapng behind each other', async () => {
    run('editcap', '-F', 'pcapng', at('seed.pcap'), at('one'))
    writeFileSync(at('several'), Buffer.concat([readFileSync(at('one')), readFileSync(at('randpkt.pcapng')), readFileSync(at('one'))]))
    await sameAsTshark(at('several'), 750)
  })

  test('comments of the capture and of packets', async () => {
    run('editcap', '-F', 'pcapng', '--capture-comment', 'the capture', '-a', '7:the seventh', at('seed.pcap'), at('comments'))
    const packets = await packetsOf(at('comments'))
    assert.deepEqual([packets[5]?.comment, packets[6]?.comment], [undefined, 'the seventh'])
    await using file = await openCaptureFile(at('comments'))
    assert.deepEqual(file.sections[0]?.comments, ['the capture'])
    assert.match(file.sections[0]?.application ?? '', /Editcap/)
  })

  test('dumpcap: what an interface is called, and its statistics', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async () => {
    // In a network namespace of its own.
    const script = 'ip link set lo up && exec dumpcap -q -i lo -a duration:1 -f "udp port 9" -w "$0"'
    const { status, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', script, at('dumpcap')], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    await using file = await openCaptureFile(at('dumpcap'))
    for await (const batch of file.batches()) while (batch.next());
    const [lo] = file.interfaces
    assert.deepEqual([lo?.name, lo?.filter, lo?.linkTypeName, lo?.ticksPerSecond], ['lo', 'udp port 9', 'EN10MB', 1e9])
    assert.match(lo?.os ?? '', /Linux/)
    assert.deepEqual([lo?.statistics?.received, lo?.statistics?.dropped, lo?.statistics?.comments], [0, 0, ['Counters provided by dumpcap']])
    // NB: dumpcap counts them in microseconds, whatever the interface says: no point in time.
    assert.ok((lo?.statistics?.endTime?.nanoseconds ?? -1) >= 0)
  })

  test('gzip, in one member and in several; zstd where Node.js has it', async () => {
    const seed = readFileSync(at('seed.pcap'))
    writeFileSync(at('one.gz'), gzipSync(seed))
    await sameAsTshark(at('one.gz'), 300)
    writeFileSync(at('many.gz'), Buffer.concat([gzipSync(seed.subarray(0, 5000)), gzipSync(seed.subarray(5000, 5001)), gzipSync(seed.subarray(5001))]))
    assert.deepEqual((await packetsOf(at('many.gz'))).map(asTshark), tsharkPackets(at('seed.pcap')))
    run('gzip', '-k', at('randpkt.pcapng'))
    await sameAsTshark(at('randpkt.pcapng.gz'), 150)

    run('zstd', '-q', at('seed.pcap'), '-o', at('seed.zst'))
    writeFileSync(at('twice.zst'), Buffer.concat([zstd(seed.subarray(0, 5000)), zstd(seed.subarray(5000))]))
    for (const name of ['seed.zst', 'twice.zst']) {
      if ('createZstdDecompress' in (await import('node:zlib'))) assert.deepEqual((await packetsOf(at(name))).map(asTshark), tsharkPackets(at('seed.pcap')))
      else await assert.rejects(packetsOf(at(name)), { code: 'UNSUPPORTED_PLATFORM', message: /zstd: Node.js 2\S+ cannot decompress it/, hint: /22\.15/ })
    }
  })

  function zstd(input: Buffer): Buffer {
    return execFileSync('zstd', ['-q', '-c'], { input })
  }

  test('filters, against tcpdump', async () => {
    run('editcap', '-F', 'pcapng', at('seed.pcap'), at('filtered.pcapng'))
    let accepted = 0
    for (const filter of ['ip', 'udp', 'tcp or arp', 'ip6 and not tcp', 'vlan', 'len > 100', 'port domain', 'ether broadcast', 'greater 2000']) {
      const expected = run('tcpdump', '-n', '-t', '--count', '-r', at('seed.pcap'), filter).toString()
      for (const name of ['seed.pcap', 'filtered.pcapng']) {
        const { length } = await packetsOf(at(name), { filter })
        assert.match(expected, new RegExp(`^${length} packets?$`, 'm'), filter)
        accepted += length
      }
    }
    assert.ok(accepted > 100)
  })

  test('a filter over link types: each has its program; one that no filter is made for is an error', async () => {
    writeFileSync(at('text'), '0000 02 00 5e 10 00 01 02 00 00 00 00 02 08 00 45 00 00 14\n')
    writeFileSync(at('rawtext'), '0000 45 00 00 14 00 00 00 00 40 11 00 00 01 02 03 04 05 06 07 08\n')
    run('text2pcap', '-F', 'pcapng', at('text'), at('ether'))
    for (const [linktype, message] of [
      ['101', undefined],
      ['127', /interface 1 has link type IEEE802_11_RADIO \(127\), and no filter is made for that/],
    ] as const) {
      run('text2pcap', '-l', linktype, '-F', 'pcapng', at('rawtext'), at('other'))
      run('mergecap', '-a', '-F', 'pcapng', '-I', 'none', '-w', at('two'), at('ether'), at('other'))
      const found = packetsOf(at('two'), { filter: 'ip' })
      if (message === undefined) assert.equal((await found).length, 2)
      else await assert.rejects(found, { code: 'INVALID_FILTER', message })
    }
  })
})
