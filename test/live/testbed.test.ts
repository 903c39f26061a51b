/** The testbed and the flood, on the kernel as it is: every count must be exact, every frame as tcpdump and tshark see it valid. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FLOOD_KINDS } from '#src/bpf/flood-program.js'
import { listInterfaces, openInterfaceCounters } from '#src/host/interfaces.js'
import { openKernel } from '#src/kernel/system.js'
import { allowedCpus } from '#src/kernel/thread.js'
import { createTestbed, type FloodOptions, startFlood, type Testbed, type WireCounters } from '#src/testbed/index.js'
import { requireRoot } from '../support/privilege.js'

const SIZES = [60, 128, 1514]

function live(name: string, run: (t: TestContext) => Promise<void> | void): void {
  test(name, async (t) => {
    if (requireRoot(t)) await run(t)
  })
}

function inNamespace(netns: string, command: string, ...rest: string[]): string {
  return execFileSync('nsenter', [`--net=${netns}`, command, ...rest], { encoding: 'utf8' })
}

/** The counters once nothing travels any more. */
async function settled(testbed: Testbed): Promise<WireCounters> {
  let wire = testbed.wire()
  for (let quiet = 0, attempt = 0; quiet < 5 && attempt < 500; attempt++) {
    await sleep(10)
    const now = testbed.wire()
    quiet = now.received === wire.received && now.received >= now.sent ? quiet + 1 : 0
    wire = now
  }
  return wire
}

async function floodWhileRead(testbed: Testbed, options: Partial<FloodOptions>): Promise<{ sent: number; wire: WireCounters }> {
  const tcpdump = spawn('nsenter', [`--net=${testbed.receiver.netns}`, 'tcpdump', '-i', testbed.receiver.interface, '-w', '/dev/null'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  try {
    await once(tcpdump.stderr, 'data')
    await using flood = await startFlood({ ...testbed.sender, durationMs: 500, ...options })
    const { sent } = await flood.finished
    return { sent, wire: await settled(testbed) }
  } finally {
    tcpdump.kill()
    await once(tcpdump, 'exit')
  }
}

function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })
}

interface Seen {
  length: number
  ipLength: number
  source: string
  destination: string
  protocol: number
  /** tshark's field: 1 is good. */
  ipChecksum: string
  checksum: string
  sourcePort: string
  destinationPort: string
}

const FIELDS = [
  'frame.len',
  'ip.len',
  'ip.src',
  'ip.dst',
  'ip.proto',
  'ip.checksum.status',
  'tcp.checksum.status',
  'udp.checksum.status',
  'icmp.checksum.status',
]
const PORTS = ['tcp.srcport', 'udp.srcport', 'tcp.dstport', 'udp.dstport']

/** Floods `count` frames slowly enough for tcpdump in the receiver's namespace to write all of them, and dissects its file. */
async function floodSeenByTcpdump(testbed: Testbed, options: Partial<FloodOptions> & { count: number }): Promise<{ seen: Seen[]; file: Buffer }> {
  const directory = mkdtempSync(join(tmpdir(), 'ringtap-testbed-'))
  try {
    const path = join(directory, 'flood.pcap')
    const { interface: name, netns } = testbed.receiver
    const tcpdump = spawn('nsenter', [`--net=${netns}`, 'tcpdump', '-i', name, '-B', '32768', '-Z', 'root', '-c', `${options.count}`, '-w', path])
    let said = ''
    tcpdump.stderr.on('data', (chunk) => {
      said += chunk
    })
    while (!said.includes('listening on')) await once(tcpdump.stderr, 'data')
    await using flood = await startFlood({ ...testbed.sender, ratePps: 50_000, ...options })
    const result = await flood.finished
    assert.equal(result.sent, options.count)
    await once(tcpdump, 'close')
    const checks = ['ip', 'tcp', 'udp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`])
    const fields = [...FIELDS, ...PORTS].flatMap((field) => ['-e', field])
    const text = execFileSync('tshark', ['-n', '-r', path, ...checks, '-T', 'fields', ...fields], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const seen = text.slice(0, -1).split('\n').map(seenOf)
    return { seen, file: readFileSync(path) }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function seenOf(line: string): Seen {
  const [length, ipLength, source, destination, protocol, ipChecksum, tcp, udp, icmp, tcpSource, udpSource, tcpDestination, udpDestination] = line.split('\t')
  return {
    length: Number(length),
    ipLength: Number(ipLength),
    source,
    destination,
    protocol: Number(protocol),
    ipChecksum,
    checksum: `${tcp}${udp}${icmp}`,
    sourcePort: `${tcpSource}${udpSource}`,
    destinationPort: `${tcpDestination}${udpDestination}`,
  }
}

const PROTOCOLS = { syn: [6], udp: [17], icmp: [1], mix: [1, 6, 17] } as const

describe('frames', () => {
  for (const kind of FLOOD_KINDS) {
    for (const frameBytes of SIZES) {
      live(`${kind} of ${frameBytes} bytes: every one counted, every checksum good`, async () => {
        using testbed = createTestbed()
        const { seen } = await floodSeenByTcpdump(testbed, { kind, frameBytes, count: 1001, sources: 50 })
        assert.equal(seen.length, 1001)
        assert.deepEqual(await settled(testbed), { sent: 1001, refused: 0, received: 1001, receiverDrops: {} })
        for (const frame of seen) {
          assert.equal(frame.length, frameBytes)
          assert.equal(frame.ipLength, frameBytes - 14)
          assert.equal(frame.destination, '198.18.0.1')
          assert.match(frame.source, /^10\.0\.0\.([0-9]|[1-4][0-9])$/)
          assert.equal(frame.ipChecksum, '1')
          assert.equal(frame.checksum, '1')
          if (frame.protocol !== 1) assert.equal(frame.destinationPort, '80')
        }
        assert.equal(new Set(seen.map((frame) => frame.source)).size, 50)
        assert.deepEqual([...new Set(seen.map((frame) => frame.protocol))].sort(), [...PROTOCOLS[kind]].sort())
        if (kind === 'syn' || kind === 'udp') assert.ok(new Set(seen.map((frame) => frame.sourcePort)).size > 900)
      })
    }
  }

  live('with a VLAN tag, which the receiver takes out of the recycled frame', async () => {
    using testbed = createTestbed()
    const { seen, file } = await floodSeenByTcpdump(testbed, { vlan: 100, frameBytes: 64, count: 500 })
    assert.equal(seen.length, 500)
    for (const frame of seen) assert.deepEqual([frame.length, frame.ipChecksum, frame.checksum], [64, '1', '1'])
    // Destination, source, tag, EtherType of the last frame.
    const last = file.subarray(-64)
    assert.equal(last.subarray(0, 6).toString('hex'), '02005e100001')
    assert.equal(last.subarray(12, 18).toString('hex'), '810000640800')
  })
})

describe('counts', () => {
  live('at full speed, with nobody listening: sent is what the wire took and what it refused', async () => {
    using testbed = createTestbed()
    let expected = 0
    for (const kind of FLOOD_KINDS) {
      const count = 100_003
      await using flood = await startFlood({ ...testbed.sender, kind, count })
      const result = await flood.finished
      expected += count
      assert.equal(result.sent, count)
      assert.equal(flood.sent(), count)
      assert.equal(
        result.perCpu.reduce((sum, it) => sum + it.sent, 0),
        count,
      )
      const wire = await settled(testbed)
      assert.equal(wire.sent + wire.refused, expected)
      assert.equal(wire.received, wire.sent)
      assert.deepEqual(wire.receiverDrops, {})
    }
  })

  for (const queues of [1, 2]) {
    live(`while someone reads, one CPU into ${queues} queues: exact`, async () => {
      using testbed = createTestbed({ queues })
      const { sent, wire } = await floodWhileRead(testbed, { cpus: allowedCpus(openKernel()).slice(0, 1) })
      assert.equal(wire.sent + wire.refused, sent)
      assert.equal(wire.received, wire.sent)
    })
  }

  live('while someone reads, a queue for each CPU: exact', async () => {
    using testbed = createTestbed()
    const { sent, wire } = await floodWhileRead(testbed, {})
    assert.equal(wire.sent + wire.refused, sent)
    assert.equal(wire.received, wire.sent)
  })

  live('CPUs that share a queue overflow it; only what was received is then exact', async (t) => {
    using testbed = createTestbed({ queues: 1 })
    const { sent, wire } = await floodWhileRead(testbed, {})
    t.diagnostic(`${sent} made, ${wire.sent} taken, ${wire.refused} refused, ${wire.received} received`)
    // veth adds to these two without a lock: now and then a bulk of 16 is lost from the count, never from the wire.
    assert.ok(Math.abs(sent - wire.sent - wire.refused) <= sent / 1000)
    assert.ok(wire.received >= wire.sent && wire.received <= sent)
  })

  live('a frame as long as the MTU allows, and none longer', async () => {
    using testbed = createTestbed({ mtu: 1000 })
    await using flood = await startFlood({ ...testbed.sender, frameBytes: 1014, count: 10 })
    await flood.finished
    assert.equal((await settled(testbed)).received, 10)
    await assert.rejects(startFlood({ ...testbed.sender, frameBytes: 1015 }), { code: 'INVALID_OPTION', message: /at most 1014.*MTU of 1000.*got 1015/ })
  })

  live('without GRO on the receiver frames vanish uncounted, which is why the testbed turns it on', async () => {
    using testbed = createTestbed()
    inNamespace(testbed.receiver.netns, 'ethtool', '-K', testbed.receiver.interface, 'gro', 'off')
    await using flood = await startFlood({ ...testbed.sender, count: 100 })
    assert.equal((await flood.finished).sent, 100)
    assert.deepEqual(testbed.wire(), { sent: 0, refused: 0, received: 0, receiverDrops: {} })
  })

  live('nothing but the flood is on the wire', async () => {
    using testbed = createTestbed()
    await sleep(1500)
    for (const end of [testbed.sender, testbed.receiver]) {
      using counters = openInterfaceCounters(openKernel(), [end.interface], { netns: end.netns })
      const [now] = counters.read()
      assert.deepEqual([now?.rxPackets, now?.txPackets], [0, 0])
    }
  })
})

describe('pace', () => {
  for (const ratePps of [10, 1000, 100_000]) {
    live(`${ratePps} packets a second, within 2 % over 2 s`, async () => {
      using testbed = createTestbed()
      await using flood = await startFlood({ ...testbed.sender, ratePps, durationMs: 2000 })
      const { sent, seconds } = await flood.finished
      assert.ok(Math.abs(sent / 2 / ratePps - 1) <= 0.02, `${sent} packets`)
      assert.ok(seconds < 2.2, `${seconds} s`)
    })
  }

  live('the pace is even: each tenth of a second has its share', async () => {
    using testbed = createTestbed()
    await using flood = await startFlood({ ...testbed.sender, ratePps: 20_000 })
    await sleep(100)
    const points = [{ at: performance.now(), sent: flood.sent() }]
    for (let point = 0; point < 10; point++) {
      await sleep(100)
      points.push({ at: performance.now(), sent: flood.sent() })
    }
    await flood.stop()
    for (let point = 1; point < points.length; point++) {
      const rate = ((points[point].sent - points[point - 1].sent) * 1000) / (points[point].at - points[point - 1].at)
      assert.ok(rate > 10_000 && rate < 30_000, `${rate} packets a second`)
    }
  })

  live('stop and abort end a flood at once, and twice is as once', async () => {
    using testbed = createTestbed()
    const abort = new AbortController()
    for (const options of [{}, { ratePps: 1 }, { ratePps: 1, signal: abort.signal }]) {
      await using flood = await startFlood({ ...testbed.sender, ...options })
      await sleep(50)
      const before = performance.now()
      if ('signal' in options) abort.abort()
      else void flood.stop()
      const result = await flood.finished
      assert.ok(performance.now() - before < 300, `${performance.now() - before} ms`)
      assert.deepEqual(await flood.stop(), result)
      assert.equal(flood.sent(), result.sent)
    }
    await using aborted = await startFlood({ ...testbed.sender, signal: abort.signal })
    assert.equal((await aborted.finished).sent, 0)
  })
})

describe('what it refuses', () => {
  live('interfaces that are no veth, are down, or do not exist', async () => {
    using testbed = createTestbed()
    const { netns } = testbed.sender
    await assert.rejects(startFlood({ interface: 'lo' }), { code: 'INVALID_OPTION', message: /to be a veth, got lo/ })
    inNamespace(netns, 'ip', 'link', 'add', 'veth9', 'type', 'bridge')
    await assert.rejects(startFlood({ interface: 'veth9', netns }), { code: 'INVALID_OPTION', message: /to be a veth, got veth9 \(bridge\)/ })
    await assert.rejects(startFlood({ interface: 'nosuch0', netns }), { code: 'NO_SUCH_INTERFACE' })
    await assert.rejects(startFlood({ interface: 'flood0', netns: 'no-such-namespace' }), { code: 'NO_SUCH_NAMESPACE' })
    inNamespace(netns, 'ip', 'link', 'set', testbed.sender.interface, 'down')
    await assert.rejects(startFlood(testbed.sender), { code: 'INTERFACE_DOWN' })
  })

  const wrong: [Partial<FloodOptions>, RegExp][] = [
    [{ frameBytes: 59 }, /frameBytes to be a whole number from 60 to 1514, got 59/],
    [{ frameBytes: 1515 }, /frameBytes.*got 1515/],
    [{ frameBytes: 60.5 }, /frameBytes.*got 60.5/],
    [{ kind: 'ack' as 'syn' }, /kind to be one of syn, udp, icmp, mix, got ack/],
    [{ sources: 0 }, /sources to be a whole number from 1 to 16777216, got 0/],
    [{ ratePps: 0 }, /ratePps.*got 0/],
    [{ ratePps: Number.NaN }, /ratePps.*got NaN/],
    [{ count: -1 }, /count.*got -1/],
    [{ durationMs: -1 }, /durationMs.*got -1/],
    [{ cpus: [] }, /cpus to be different CPUs out of/],
    [{ cpus: [0, 0] }, /cpus.*got 0,0/],
    [{ cpus: [4095] }, /cpus.*got 4095/],
    [{ destinationMac: '02:00' }, /destinationMac.*got 02:00/],
    [{ vlan: 4096 }, /vlan to be a whole number from 0 to 4095, got 4096/],
  ]
  live('option values, by name, with what was expected and what was got', async () => {
    using testbed = createTestbed()
    for (const [options, message] of wrong) await assert.rejects(startFlood({ ...testbed.sender, ...options }), { code: 'INVALID_OPTION', message })
    assert.throws(() => createTestbed({ queues: 0 }), { code: 'INVALID_OPTION', message: /queues to be a whole number from 1 to 4096, got 0/ })
    assert.throws(() => createTestbed({ mtu: 1 }), { code: 'INVALID_OPTION', message: /mtu.*got 1/ })
  })
})

describe('interfaces', () => {
  live('as listed and as counted', async () => {
    using testbed = createTestbed({ queues: 2 })
    const { interface: name, netns } = testbed.receiver
    const found = listInterfaces(openKernel(), { netns }).find((it) => it.name === name)
    assert.ok(found)
    assert.match(found.mac ?? '', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
    const { mac, index, ...rest } = found
    assert.equal(index, 2)
    assert.deepEqual(rest, {
      name,
      up: true,
      operState: 'up',
      mtu: 1500,
      driver: 'veth',
      speedMbps: 10_000,
      rxQueues: 2,
      txQueues: 2,
      linkType: 1,
      kind: 'veth',
      netns,
    })
    using counters = openInterfaceCounters(openKernel(), [name], { netns })
    await using flood = await startFlood({ ...testbed.sender, count: 1000, frameBytes: 100, ratePps: 20_000 })
    await flood.finished
    await settled(testbed)
    const [now] = counters.read()
    assert.deepEqual([now?.rxPackets, now?.rxBytes, now?.rxDropped, now?.rxOtherHostDropped], [1000, 100_000, 0, 1000])
    testbed.close()
    assert.deepEqual(counters.read(), [undefined])
  })
})

describe('nothing is left', () => {
  live('after close', async () => {
    // Whatever opens once and stays, opens here.
    createTestbed().close()
    const before = {
      descriptors: openDescriptors().length,
      namespaces: execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }),
      links: readdirSync('/sys/class/net'),
    }
    for (let round = 0; round < 3; round++) {
      const testbed = createTestbed()
      await using flood = await startFlood({ ...testbed.sender, count: 10 })
      await flood.finished
      testbed.close()
      testbed.close()
      assert.equal(testbed.wire().sent, 10)
    }
    assert.equal(openDescriptors().filter((it) => it.includes('bpf')).length, 0)
    assert.equal(openDescriptors().length, before.descriptors)
    assert.equal(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }), before.namespaces)
    assert.deepEqual(readdirSync('/sys/class/net'), before.links)
  })

  live('the pair is gone at once even while someone else is in the namespace', async () => {
    const testbed = createTestbed()
    const guest = spawn('nsenter', [`--net=${testbed.receiver.netns}`, 'sh', '-c', 'echo in; read line; ls /sys/class/net >/dev/null; ip -o link | wc -l'])
    try {
      await once(guest.stdout, 'data')
      testbed.close()
      guest.stdin.end('\n')
      const [lines] = await once(guest.stdout, 'data')
      assert.equal(`${lines}`.trim(), '1', 'lo alone')
    } finally {
      guest.kill()
    }
  })

  live('after kill -9 of the process in the middle of a flood', async () => {
    const library = JSON.stringify(import.meta.resolve('#src/testbed/index.js'))
    const source = `
      import { readlinkSync } from 'node:fs'
      import { createTestbed, startFlood } from ${library}
      const testbed = createTestbed()
      await startFlood(testbed.sender)
      console.log(readlinkSync(testbed.sender.netns), readlinkSync(testbed.receiver.netns))
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [said] = await once(child.stdout, 'data')
    const namespaces = `${said}`.trim().split(' ')
    assert.match(namespaces[0], /^net:\[\d+\]$/)
    assert.ok(holders(namespaces).length > 0)
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.deepEqual(holders(namespaces), [])
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(namespaces[0]))
  })
})

/** Descriptors and threads anywhere that keep one of these namespaces alive. */
function holders(namespaces: readonly string[]): string[] {
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter((it) => /^\d+$/.test(it))) {
    for (const folder of [`/proc/${pid}/fd`, `/proc/${pid}/ns`]) {
      try {
        for (const name of readdirSync(folder)) if (namespaces.includes(readlinkSync(`${folder}/${name}`))) found.push(`${folder}/${name}`)
      } catch {
        // The process has ended meanwhile.
      }
    }
  }
  return found
}
