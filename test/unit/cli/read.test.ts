/** `ringtap read` as its users run it, against what tcpdump, tshark, capinfos, editcap and mergecap make of the same files. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { openCaptureFile } from '#src/index.js'
import { requireTools } from '../../support/capture-tools.js'
import {
  block,
  enhancedPacket,
  interfaceBlock,
  MICROSECONDS,
  NANOSECONDS,
  pcapOf,
  sectionHeader,
  Writer,
  type WrittenPacket,
} from '../../support/capture-writer.js'
import { everydayFrame } from '../../support/everyday-frames.js'
import { type Random, randomOf } from '../../support/random.js'
import { tsharkPackets } from '../../support/tshark.js'

const MAIN = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))
const START = 1_700_000_000

interface Ended {
  status: number | null
  stdout: string
  stderr: string
}

let folder: string
const at = (name: string) => join(folder, name)

function ringtap(argv: readonly string[], input?: Uint8Array): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'read', ...argv], { cwd: folder, encoding: 'latin1', maxBuffer: 2 ** 30, input })
  return { status, stdout, stderr }
}

/** Must go well; answers what it says on stdout. */
function read(...argv: string[]): string {
  const { status, stdout, stderr } = ringtap(argv)
  assert.equal(status, 0, stderr)
  return stdout
}

function tcpdump(...argv: string[]): string {
  const { status, stdout, stderr } = spawnSync('tcpdump', ['-n', '-S', ...argv], { cwd: folder, encoding: 'latin1', maxBuffer: 2 ** 30 })
  assert.equal(status, 0, stderr)
  return stdout
}

function run(command: string, ...argv: string[]): void {
  execFileSync(command, argv, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** In order of time, a few milliseconds apart, no two at the same time. */
function packetsOf(random: Random, count: number, start = START): WrittenPacket[] {
  let nanoseconds = start % 1 === 0 ? random.between(0, 1e6) : 0
  let seconds = start
  return Array.from({ length: count }, () => {
    nanoseconds += random.between(1, 30_000_000)
    if (nanoseconds >= 1e9) {
      nanoseconds -= 1e9
      seconds++
    }
    const bytes = everydayFrame(random)
    return { bytes, wireLength: bytes.length, seconds, nanoseconds, interfaceId: 0 }
  })
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

describe('ringtap read', () => {
  before((t) => {
    folder = mkdtempSync(join(tmpdir(), 'ringtap-read-'))
    assert.ok(t !== undefined)
    const random = randomOf(11)
    const packets = packetsOf(random, 800)
    writeFileSync(at('micro.pcap'), pcapOf({ littleEndian: true, magic: MICROSECONDS }, packets))
    writeFileSync(at('nano.pcap'), pcapOf({ littleEndian: true, magic: NANOSECONDS }, packets))
    writeFileSync(at('big-endian.pcap'), pcapOf({ littleEndian: false, magic: NANOSECONDS }, packets))
    writeFileSync(at('nano.pcap.gz'), gzipSync(readFileSync(at('nano.pcap'))))
    writeFileSync(at('empty.pcap'), pcapOf({ littleEndian: true, magic: MICROSECONDS }, []))
    writeFileSync(at('nothing'), '')
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      writeFileSync(at(`${name}.pcap`), pcapOf({ littleEndian: true, magic: NANOSECONDS }, packetsOf(randomOf(20 + index), 300)))
    }
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  test('packets are printed as tcpdump prints them, in every way it has', (t) => {
    if (!requireTools(t, 'tcpdump')) return
    const ways = [
      '-n',
      '-e',
      '-x',
      '-xx',
      '-X',
      '-XX',
      '-A',
      '-AA',
      '-t',
      '-tt',
      '-ttt',
      '-tttt',
      '-ttttt',
      '-v',
      '-vv',
      '-q',
      '-#',
      '-ve#',
      '-qtttt',
      '--nano',
      '-c7',
    ]
    for (const way of ways) assert.equal(read('nano.pcap', way), tcpdump('-r', 'nano.pcap', way), way)
    for (const file of ['micro.pcap', 'big-endian.pcap']) assert.equal(read(file, '-tt', '--nano', '-e'), tcpdump('-r', file, '-tt', '--nano', '-e'), file)
  })

  test('the first line is that of tcpdump, on stderr', (t) => {
    if (!requireTools(t, 'tcpdump')) return
    const { stderr } = spawnSync('tcpdump', ['-c1', '-r', 'micro.pcap'], { cwd: folder, encoding: 'utf8' })
    assert.equal(ringtap(['micro.pcap', '-c1']).stderr, stderr)
    assert.equal(stderr, 'reading from file micro.pcap, link-type EN10MB (Ethernet), snapshot length 262144\n')
  })

  test('formats, compression and standard input make no difference', () => {
    const expected = read('nano.pcap', '--nano')
    assert.equal(lines(expected).length, 800)
    read('nano.pcap', '-w', 'same.pcapng')
    for (const file of ['big-endian.pcap', 'nano.pcap.gz', 'same.pcapng']) assert.equal(read(file, '--nano'), expected, file)
    for (const file of ['nano.pcap', 'nano.pcap.gz', 'same.pcapng']) {
      const { status, stdout, stderr } = ringtap(['-', '--nano'], readFileSync(at(file)))
      assert.deepEqual([status, stdout], [0, expected])
      assert.match(stderr, /^reading from file -, link-type EN10MB/)
    }
  })

  test('filters take what tcpdump takes', (t) => {
    if (!requireTools(t, 'tcpdump')) return
    const filters = [
      'tcp',
      'udp and dst port 40053',
      'ip6',
      'vlan',
      'arp',
      'host 192.0.2.3 or net 10.0.0.4/30',
      'tcp[tcpflags] & tcp-syn != 0',
      'greater 200',
      'not ip',
    ]
    for (const filter of filters) {
      const expected = tcpdump('-r', 'nano.pcap', filter)
      assert.notEqual(expected, '', filter)
      assert.equal(read('nano.pcap', ...filter.split(' ')), expected, filter)
      assert.equal(read('-r', 'nano.pcap', filter), expected, filter)
      assert.equal(read('nano.pcap', '--', filter), expected, filter)
      writeFileSync(at('filter'), `${filter} # what is wanted\n`)
      assert.equal(read('nano.pcap', '-F', 'filter'), expected, filter)
      assert.equal(read('nano.pcap', '--count', filter), `${lines(expected).length} packets\n`, filter)
    }
    const wrong = ringtap(['nano.pcap', 'udp', 'and', 'port'])
    assert.deepEqual([wrong.status, wrong.stdout], [2, ''])
    assert.match(wrong.stderr, /syntax error.*\n {2}udp and port\n {14}\^/)
  })

  test('--count and -c', (t) => {
    if (!requireTools(t, 'tcpdump')) return
    assert.equal(read('nano.pcap', '--count'), tcpdump('--count', '-r', 'nano.pcap'))
    assert.equal(read('nano.pcap', '--count', '-c', '1'), '1 packet\n')
    assert.equal(read('nano.pcap', 'a.pcap', 'b.pcap', '--count'), '1400 packets\n')
    assert.equal(read('empty.pcap', '--count'), '0 packets\n')
    assert.deepEqual(JSON.parse(read('nano.pcap', '--count', '--json')), { type: 'count', packets: 800 })
    assert.equal(read('empty.pcap'), '')
  })

  test('--info tells what capinfos tells', (t) => {
    if (!requireTools(t, 'capinfos')) return
    const theirs = execFileSync('capinfos', ['-M', '-T', '-m', 'nano.pcap'], { cwd: folder, encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } }).split('\n')
    const [names, values] = theirs.map((line) => line.split(',')) as [string[], string[]]
    const value = (name: string) => values[names.findIndex((each) => each.startsWith(name))] as string
    const info = JSON.parse(read('nano.pcap', '--info', '--json', '--sha256')) as Record<string, never>
    assert.equal(info.packets, Number(value('Number of packets')))
    assert.equal(info.fileSizeBytes, Number(value('File size')))
    assert.equal(info.wireBytes, Number(value('Data size')))
    assert.equal(info.durationSeconds, Number(value('Capture duration')))
    assert.equal(String(info.firstTime).replace('T', ' ').replace('Z', ''), value('Start time') ?? value('First packet'))
    assert.equal(info.sha256, value('SHA256'))
    assert.equal(info.type, 'info')
    const table = read('nano.pcap', '--info')
    assert.match(table, /^file +nano\.pcap\nformat +pcap, nanoseconds\nsize +\d+ bytes .*\nlink type +EN10MB\nsnap length +262144 bytes\npackets +800\n/)
    assert.match(read('empty.pcap', '--info', 'tcp'), /packets +0\n/)
    assert.match(read('nano.pcap', 'a.pcap', '--info'), /\n\nfile +a\.pcap\n/)
  })

  test('three files in order of time, as mergecap has them', (t) => {
    if (!requireTools(t, 'mergecap', 'tshark')) return
    run('mergecap', '-F', 'pcapng', '-w', 'theirs', 'a.pcap', 'b.pcap', 'c.pcap')
    const expected = tsharkPackets(at('theirs'))
    assert.equal(expected.length, 900)
    for (const name of ['ours.pcap', 'ours.pcapng']) {
      read('a.pcap', 'b.pcap', 'c.pcap', '-w', name)
      assert.deepEqual(tsharkPackets(at(name)), expected)
    }
    assert.equal(read('-r', 'c.pcap', '-r', 'a.pcap', '-r', 'b.pcap', '--nano'), read('ours.pcap', '--nano'))
    run('mergecap', '-a', '-F', 'pcapng', '-w', 'theirs', 'b.pcap', 'a.pcap', 'c.pcap')
    read('b.pcap', 'a.pcap', 'c.pcap', '--append', '-w', 'ours.pcapng')
    assert.deepEqual(tsharkPackets(at('ours.pcapng')), tsharkPackets(at('theirs')))
    assert.equal(lines(read('a.pcap', 'b.pcap', 'c.pcap', '-c', '450')).length, 450)
  })

  test('--from and --until are editcap -A and -B, -s is its -s', (t) => {
    if (!requireTools(t, 'editcap', 'tshark')) return
    const times = tsharkPackets(at('nano.pcap')).map((line) => line.split(' ')[0] as string)
    // On a packet and between packets: the first is with it, the second is not.
    for (const [from, until] of [
      [times[100], times[500]],
      [times[0], times[799]],
      [`${START + 2}.5`, `${START + 4}`],
    ] as [string, string][]) {
      const iso = (time: string) => new Date(Number(time.split('.')[0]) * 1000).toISOString().replace('.000Z', `.${(time.split('.')[1] ?? '').padEnd(9, '0')}Z`)
      run('editcap', '-F', 'nsecpcap', '-A', iso(from), '-B', iso(until), 'nano.pcap', 'theirs')
      const expected = tsharkPackets(at('theirs'))
      assert.ok(expected.length > 10)
      for (const [first, end] of [
        [from, until],
        [iso(from), iso(until)],
      ] as [string, string][]) {
        read('nano.pcap', '--from', first, '--until', end, '-w', 'ours.pcap')
        assert.deepEqual(tsharkPackets(at('ours.pcap')), expected)
        assert.equal(read('nano.pcap', '--from', first, '--until', end, '--count'), `${expected.length} packets\n`)
      }
    }
    run('editcap', '-F', 'nsecpcap', '-s', '70', 'nano.pcap', 'theirs')
    for (const name of ['cut.pcap', 'cut.pcapng']) {
      read('nano.pcap', '-s', '70', '-w', name)
      assert.deepEqual(tsharkPackets(at(name)), tsharkPackets(at('theirs')))
    }
    assert.equal(read('nano.pcap', '-s', '70', '-XX'), read('cut.pcap', '-XX'))
  })

  test('-w writes what tcpdump -w writes, byte for byte', (t) => {
    if (!requireTools(t, 'tcpdump')) return
    for (const [file, way] of [
      ['micro.pcap', '--micro'],
      ['nano.pcap', '--nano'],
    ] as const) {
      run('tcpdump', '-r', file, way, '-w', 'theirs', 'udp')
      read(file, '-w', 'ours.pcap', 'udp')
      assert.deepEqual(readFileSync(at('ours.pcap')), readFileSync(at('theirs')))
      const { status, stderr } = ringtap([file, '-w', 'ours.pcap', 'udp'])
      assert.equal(status, 0)
      assert.match(stderr, /\n\d+ packets written\n$/)
      const { stdout } = spawnSync(process.execPath, [MAIN, 'read', file, '-w', '-', '--format', 'pcap', 'udp'], { cwd: folder })
      assert.deepEqual(stdout, readFileSync(at('theirs')))
    }
  })

  test('-C and -W split as tcpdump does', (t) => {
    if (!requireTools(t, 'tcpdump')) return
    const series = (prefix: string) =>
      readdirSync(folder)
        .filter((name) => name.startsWith(prefix))
        .sort()
    writeFileSync(at('large.pcap'), pcapOf({ littleEndian: true, magic: MICROSECONDS }, packetsOf(randomOf(31), 15_000)))
    run('tcpdump', '-Z', 'root', '-r', 'large.pcap', '-C', '1', '-w', 'theirs-part')
    read('large.pcap', '-C', '1', '-w', 'ours-part', '--format', 'pcap')
    const theirs = series('theirs-part')
    assert.ok(theirs.length >= 3)
    assert.deepEqual(
      series('ours-part').map((name) => name.replace('ours', 'theirs')),
      theirs,
    )
    for (const name of theirs) assert.deepEqual(readFileSync(at(name.replace('theirs', 'ours'))), readFileSync(at(name)), name)
    read('large.pcap', '-G', '60', '-w', 'minute-%s.pcap')
    assert.equal(
      series('minute-').reduce((sum, name) => sum + Number.parseInt(read(name, '--count'), 10), 0),
      15_000,
    )
    for (const name of series('minute-')) rmSync(at(name))
  })

  test('conversion both ways keeps every packet, and what pcapng says besides', async (t) => {
    if (!requireTools(t, 'editcap', 'tshark')) return
    run('editcap', '-F', 'pcapng', '-a', '5:the fifth', '--capture-comment', 'the capture', 'nano.pcap', 'commented.pcapng')
    read('commented.pcapng', '-w', 'back.pcap')
    assert.deepEqual(tsharkPackets(at('back.pcap')), tsharkPackets(at('nano.pcap')))
    read('back.pcap', '-w', 'again.pcapng.gz')
    assert.deepEqual(tsharkPackets(at('again.pcapng.gz')), tsharkPackets(at('nano.pcap')))
    read('commented.pcapng', '-w', 'kept.pcapng')
    const fields = [
      '-T',
      'fields',
      '-e',
      'frame.number',
      '-e',
      'frame.time_epoch',
      '-e',
      'frame.len',
      '-e',
      'frame.comment',
      '-e',
      'ip.src',
      '-e',
      'udp.srcport',
      '-e',
      'tcp.seq_raw',
    ]
    const told = (name: string) => execFileSync('tshark', ['-n', '-r', name, ...fields], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    assert.equal(told('kept.pcapng'), told('commented.pcapng'))
    assert.match(told('kept.pcapng'), /the fifth/)
    await using file = await openCaptureFile(at('kept.pcapng'))
    assert.deepEqual(file.sections[0]?.comments, ['the capture'])
  })

  for (const littleEndian of [true, false]) {
    test(`all that pcapng can say is taken along, ${littleEndian ? 'little' : 'big'}-endian`, async (t) => {
      if (!requireTools(t, 'tshark')) return
      const writer = () => new Writer(littleEndian)
      const options = (build: (w: Writer) => Writer) => build(writer()).u16(0, 0).end()
      const text = (value: string) => Buffer.from(value)
      const described = options((w) =>
        w
          .option(2, 'eth7')
          .option(3, 'a wire')
          .option(4, Uint8Array.of(192, 0, 2, 1, 255, 255, 255, 0))
          .option(5, Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 64))
          .option(6, Uint8Array.of(2, 0, 0, 0, 0, 1))
          .option(8, writer().u64(10_000_000_000n).end())
          .option(9, Uint8Array.of(9))
          .option(11, '\0udp')
          .option(12, 'an os')
          .option(13, Uint8Array.of(4))
          .option(15, 'a card'),
      )
      const packet = options((w) =>
        w
          .option(1, 'one')
          .option(1, 'two')
          .option(2, writer().u32(5).end())
          .option(3, Uint8Array.of(2, 1, 2, 3, 4))
          .option(4, writer().u64(7n).end())
          .option(5, writer().u64(99n).end())
          .option(6, writer().u32(3).end())
          .option(7, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 9)),
      )
      const high = BigInt(START) * 1_000_000_000n + 123_456_789n
      const frame = everydayFrame(randomOf(1))
      const names = writer()
        .u16(1, 4 + 5)
        .padded(Buffer.concat([Uint8Array.of(192, 0, 2, 9), text('here\0')]))
        .u16(0, 0)
        .end()
      const secrets = text('CLIENT_RANDOM 1 2\n\0\0')
      const statistics = writer()
        .u32(0, Number(high >> 32n), Number(high & 0xffffffffn))
        .raw(options((w) => w.option(4, writer().u64(1000n).end()).option(5, writer().u64(5n).end()).option(7, writer().u64(6n).end())))
        .end()
      const unknown = block(littleEndian, 0x0000_0123, Uint8Array.of(1, 2, 3, 4))
      writeFileSync(
        at('rich.pcapng'),
        Buffer.concat([
          sectionHeader(
            littleEndian,
            options((w) => w.option(1, 'a section').option(2, 'a machine').option(3, 'Linux').option(4, 'somebody')),
          ),
          interfaceBlock(littleEndian, 1, 65535, described),
          interfaceBlock(littleEndian, 101, 0),
          block(littleEndian, 4, names),
          block(
            littleEndian,
            10,
            writer()
              .u32(0x544c534b, secrets.length - 2)
              .raw(secrets)
              .end(),
          ),
          enhancedPacket(littleEndian, 0, high, frame, frame.length + 4, packet),
          enhancedPacket(littleEndian, 1, high / 1000n, frame.slice(14)),
          block(littleEndian, 0xbad, writer().u32(4711).raw(text('data')).end()),
          block(littleEndian, 0x4000_0bad, writer().u32(4711).raw(text('mine')).end()),
          unknown,
          block(littleEndian, 5, statistics),
        ]),
      )
      const leftOut = littleEndian ? '1 block' : '2 blocks'
      assert.match(ringtap(['rich.pcapng', '-w', 'taken.pcapng']).stderr, new RegExp(`2 packets written, ${leftOut} left out\\n$`))
      const facts = async (name: string) => {
        const blocks: [number, string][] = []
        await using file = await openCaptureFile(at(name), {
          onBlock: ({ type, bytes, byteOrder }) => {
            if ([4, 10, 0xbad, 0x123].includes(type)) {
              const body = Buffer.from(bytes.subarray(8, -4))
              const turned =
                byteOrder === 'little-endian' || type === 4
                  ? body
                  : type === 10
                    ? Buffer.concat([body.subarray(0, 4).swap32(), body.subarray(4, 8).swap32(), body.subarray(8)])
                    : Buffer.concat([body.subarray(0, 4).swap32(), body.subarray(4)])
              if (type !== 4 && (type !== 0x123 || littleEndian)) blocks.push([type, turned.toString('hex')])
            }
          },
        })
        const packets: unknown[] = []
        for await (const batch of file.batches())
          while (batch.next())
            packets.push([batch.interfaceId, batch.seconds, batch.nanoseconds, batch.wireLength, batch.flags, batch.dropCount, batch.details(), batch.copy()])
        const interfaces = file.interfaces.map(({ ticksPerSecond, section, snapLengthBytes, ...rest }) => rest)
        const sections = file.sections.map(({ hardware, os, comments }) => [hardware, os, comments])
        return { packets, interfaces, sections, names: file.names, blocks }
      }
      assert.deepEqual(await facts('taken.pcapng'), await facts('rich.pcapng'))
      // NB: tshark takes custom blocks for packets, and one of them must not be copied.
      assert.deepEqual(tsharkPackets(at('taken.pcapng')).slice(0, 3), tsharkPackets(at('rich.pcapng')).slice(0, 3))
      const refused = ringtap(['rich.pcapng', '-w', 'refused.pcap'])
      assert.equal(refused.status, 2)
      assert.match(refused.stderr, /a pcap file has one link type/)
    })
  }

  test('a damaged file: all before the damage, then where and why, status 1', (t) => {
    if (!requireTools(t, 'tshark')) return
    const whole = readFileSync(at('nano.pcap'))
    writeFileSync(at('damaged.pcap'), whole.subarray(0, whole.length - 30))
    const expected = lines(read('nano.pcap')).slice(0, -1)
    const { status, stdout, stderr } = ringtap(['damaged.pcap'])
    assert.equal(status, 1)
    assert.deepEqual(lines(stdout), expected)
    assert.match(stderr, /\nringtap: damaged\.pcap: at byte \d+: the file ends after \d+ bytes of a record.*\n.*with --tolerant set.*\n/)
    const written = ringtap(['damaged.pcap', '-w', 'undamaged.pcap'])
    assert.equal(written.status, 1)
    assert.equal(tsharkPackets(at('undamaged.pcap')).length, 799)
    const counted = ringtap(['damaged.pcap', '--count'])
    assert.deepEqual([counted.status, counted.stdout], [1, '799 packets\n'])
    const info = ringtap(['damaged.pcap', '--info', '--json'])
    assert.equal(info.status, 1)
    assert.equal((JSON.parse(lines(info.stdout)[0] as string) as { packets: number }).packets, 799)
    // The others go on.
    const merged = ringtap(['damaged.pcap', 'a.pcap', '--count'])
    assert.deepEqual([merged.status, merged.stdout], [1, '1099 packets\n'])
    const bent = Buffer.from(whole)
    bent.fill(0xff, 20_000, 20_400)
    writeFileSync(at('bent.pcap'), bent)
    const strict = Number.parseInt(ringtap(['bent.pcap', '--count']).stdout, 10)
    const tolerant = ringtap(['bent.pcap', '--count', '--tolerant'])
    assert.equal(tolerant.status, 0)
    assert.ok(Number.parseInt(tolerant.stdout, 10) > strict + 500)
    assert.match(tolerant.stderr, /bent\.pcap: \d+ bytes passed over: damaged/)
  })

  test('a second file that is not there is not only a filter that is none', () => {
    const { status, stderr } = ringtap(['micro.pcap', 'nofile.pcap'])
    assert.equal(status, 2)
    assert.match(stderr, /^ringtap: syntax error: .*\n {2}there is no file nofile\.pcap; in a filter: host nofile\.pcap/m)
  })

  test('texts of a file do not turn round what a terminal shows', () => {
    const described = interfaceBlock(true, 1, 0, new Writer(true).option(2, 'e\u202eth\u200f0').u16(0, 0).end())
    writeFileSync(at('bidi.pcapng'), Buffer.concat([sectionHeader(true), described]))
    assert.match(read('bidi.pcapng', '--info'), /^interface 0 e\?th\?0$/m)
  })

  test('of a link type that is not decoded it is said once, and what decodes it', () => {
    const packet = { bytes: new Uint8Array(40), wireLength: 40, seconds: START, nanoseconds: 0, interfaceId: 0 }
    writeFileSync(at('radio.pcap'), pcapOf({ littleEndian: true, magic: MICROSECONDS, linktype: 127 }, [packet, packet]))
    const line = 'packets of link type IEEE802_11_RADIO (127) are told by time and length alone; tshark -r radio.pcap decodes more\n'
    for (const [argv, told] of [
      [[], true],
      [['--json'], true],
      [['--count'], false],
    ] as const) {
      const { status, stderr } = ringtap(['radio.pcap', 'radio.pcap', ...argv])
      assert.deepEqual([status, stderr.split(line).length], [0, told ? 2 : 1], stderr)
    }
    const { stderr } = ringtap(['radio.pcap', 'ip'])
    assert.match(stderr, /no filter is made for that/)
  })

  test('raw IP by the number that it once had, with a filter and without', () => {
    const bytes = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 200, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
    const packet = { bytes, wireLength: 20, seconds: START, nanoseconds: 0, interfaceId: 0 }
    for (const linktype of [12, 14, 101]) {
      writeFileSync(at('raw.pcap'), pcapOf({ littleEndian: true, magic: MICROSECONDS, linktype }, [packet]))
      assert.equal(read('raw.pcap', '-t', 'src 10.0.0.1'), 'IP 10.0.0.1 > 10.0.0.2:  ip-proto-200 0\n')
    }
  })

  test('what is no file, or nothing, is told in one line', () => {
    const cases: [argv: string[], status: number, stderr: RegExp][] = [
      [[], 2, /^ringtap: which file\? FILE is missing\n/],
      [['nosuch.pcap'], 1, /^ringtap: nosuch\.pcap: open.*ENOENT/],
      [['nothing'], 1, /^ringtap: nothing: no capture file: it is empty\n/],
      [['filter'], 1, /^ringtap: filter: no capture file: it begins with/],
      [['.'], 1, /^ringtap: \.: it is a directory\n/],
      [['nano.pcap', '--count', '--info'], 2, /^ringtap: --count and --info do not go together\n/],
      [['nano.pcap', '-C', '1'], 2, /^ringtap: -C goes with -w FILE\n/],
      [['nano.pcap', '-c', '0'], 2, /^ringtap: -c: expected at least 1, got '0'\n/],
      [['nano.pcap', '--from', 'yesterday'], 2, /^ringtap: --from: expected a time such as/],
      [['nano.pcap', '-w', 'nosuch/x.pcap'], 1, /ringtap: nosuch\/x\.pcap: open.*ENOENT/],
      [['nano.pcap', '-w', 'x.pcap', '-W', '3'], 2, /^ringtap: -W goes with -C or -G\n/],
      [['nano.pcap', '--nano', '--micro'], 2, /do not go together/],
      [['-', '-'], 2, /standard input is given more than once/],
    ]
    writeFileSync(at('filter'), 'tcp and so on')
    for (const [argv, status, stderr] of cases) {
      const ended = ringtap(argv)
      assert.deepEqual([ended.status, ended.stdout], [status, ''], `${argv.join(' ')}: ${ended.stderr}`)
      assert.match(ended.stderr, stderr)
      assert.doesNotMatch(ended.stderr, /\n {4}at /)
    }
    assert.ok(!existsSync(at('x.pcap')))
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.part')),
      [],
    )
  })

  test('a JSON document a packet, with what tshark has', (t) => {
    if (!requireTools(t, 'tshark')) return
    const documents = lines(read('nano.pcap', '--json')).map((line) => JSON.parse(line) as Record<string, unknown>)
    const fields = ['frame.time_epoch', 'frame.len', 'eth.src', 'ip.src', 'ipv6.src', 'tcp.srcport', 'udp.srcport', 'vlan.id', 'tcp.seq_raw']
    const options = ['-n', '-r', 'nano.pcap', '-T', 'fields', ...fields.flatMap((field) => ['-e', field])]
    const theirs = execFileSync('tshark', options, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')
      .slice(0, -1)
    assert.equal(documents.length, theirs.length)
    for (const [index, line] of theirs.entries()) {
      const document = documents[index] as Record<string, unknown>
      const [time, length, mac, ip, ip6, tcpPort, udpPort, vlan, sequence] = line.split('\t') as string[]
      const [seconds, nanoseconds] = (time as string).split('.') as [string, string]
      assert.equal(document.time, `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${nanoseconds}Z`)
      assert.deepEqual([document.type, document.number, document.wireLength, document.sourceMac], ['packet', index + 1, Number(length), mac])
      if (ip !== '' || ip6 !== '') assert.equal(document.source, ip || ip6)
      if (tcpPort !== '' || udpPort !== '') assert.equal(document.sourcePort, Number(tcpPort || udpPort))
      if (vlan !== '') assert.deepEqual(document.vlanIds, [Number(vlan)])
      if (sequence !== '') assert.equal(document.tcpSequence, Number(sequence))
    }
  })

  test('a pipe whose reader goes away ends it without a word, and so does SIGINT', async () => {
    writeFileSync(at('long.pcap'), pcapOf({ littleEndian: true, magic: MICROSECONDS }, packetsOf(randomOf(41), 20_000)))
    for (const argv of ['long.pcap', 'long.pcap --json', 'long.pcap -w - -q']) {
      const script = `"${process.execPath}" "${MAIN}" read ${argv} | head -c 100 >/dev/null; echo \${PIPESTATUS[0]}`
      const { stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' })
      assert.equal(stdout, '0\n', argv)
      assert.match(stderr, /^(reading from file long\.pcap, .*\n)?$/)
    }
    const child: ChildProcess = spawn(process.execPath, [MAIN, 'read', '-', '-tt'], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stderr?.on('data', (data) => {
      stderr += data
    })
    const closed = once(child, 'close')
    const half = readFileSync(at('micro.pcap')).subarray(0, 40_000)
    child.stdin?.write(half)
    // What has come is printed while the rest is waited for.
    for await (const data of child.stdout as AsyncIterable<Buffer>) {
      stdout += data
      if (stdout.length > 5000 && !child.killed) child.kill('SIGINT')
    }
    assert.deepEqual([(await closed)[0], stdout.endsWith('\n')], [0, true], stderr)
    assert.equal(
      stdout,
      lines(read('micro.pcap', '-tt'))
        .slice(0, lines(stdout).length)
        .map((line) => `${line}\n`)
        .join(''),
    )
  })

  test('a named pipe that nobody writes to: one signal ends the waiting', async () => {
    spawnSync('mkfifo', [at('silent')])
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const child = spawn(process.execPath, [MAIN, 'read', 'silent'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
      // It has the pipe open by then, or is about to.
      const deadline = performance.now() + 10_000
      const isOpen = () => readdirSync(`/proc/${child.pid}/fd`).some((fd) => targetOf(`/proc/${child.pid}/fd/${fd}`) === at('silent'))
      while (!isOpen() && performance.now() < deadline) await sleep(10)
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      assert.deepEqual(await once(child, 'close'), [0, null], signal)
      clearTimeout(timer)
    }
  })

  test('memory stays within bounds: a file of 200 MB printed to a slow reader', () => {
    const frame = pcapOf({ littleEndian: true, magic: MICROSECONDS }, packetsOf(randomOf(51), 5000))
    const body = frame.subarray(24)
    const pieces = Array.from({ length: Math.ceil(200e6 / body.length) }, () => body)
    writeFileSync(at('huge.pcap'), Buffer.concat([frame.subarray(0, 24), ...pieces]))
    const told = "process.on('exit', () => process.stderr.write(process.resourceUsage().maxRSS + ' KiB'))"
    const script = `"${process.execPath}" --import 'data:text/javascript,${encodeURIComponent(told).replaceAll("'", '%27')}' "${MAIN}" read huge.pcap | (sleep 0.5; cat >/dev/null)`
    const { stderr } = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' })
    rmSync(at('huge.pcap'))
    const used = Number(/(\d+) KiB$/.exec(stderr)?.[1])
    assert.ok(used > 20_000 && used < 150_000, stderr)
  })
})
