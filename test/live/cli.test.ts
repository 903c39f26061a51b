/** The command as its users run it: a process of its own, on a wire of our own. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CaptureSummary } from '#src/index.js'
import { createTestbed, type FloodOptions, startFlood, type Testbed } from '#src/testbed/index.js'
import { inNamespace, numberedFrame } from '../support/live.js'
import { pcapFile, timeStampsOf } from '../support/pcap-file.js'
import { requireRoot } from '../support/privilege.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

interface Ended {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** A ringtap that runs: what it says so far, and its end. */
class Running {
  readonly ended: Promise<Ended>
  readonly child: ChildProcess
  #stderr = ''
  readonly #stdout: string[] = []
  #waiting: (() => void) | undefined

  constructor(argv: readonly string[]) {
    const child = spawn(process.execPath, [MAIN, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
      this.#waiting?.()
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#stdout.push(line)
      this.#waiting?.()
    })
    this.ended = new Promise((resolve) => {
      child.on('close', (status, signal) => {
        resolve({ status, signal, stdout: this.#stdout.map((line) => `${line}\n`).join(''), stderr: this.#stderr })
        this.#waiting?.()
      })
    })
  }

  /** Until it has said this, on stdout or stderr. */
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#stderr) && !this.#stdout.some((line) => pattern.test(line))) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) assert.fail(`ended without ${pattern}: ${this.#stderr}`)
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }
}

type Document = Record<string, unknown> & { type: string }

function documents(stdout: string): Document[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Document)
}

function summaryOf(stdout: string): CaptureSummary {
  const last = documents(stdout).at(-1)
  assert.equal(last?.type, 'summary')
  return last as unknown as CaptureSummary
}

/** The bytes of all packets of a little-endian pcap file. */
function packetsOf(file: Buffer): Buffer {
  const packets: Buffer[] = []
  for (let at = 24; at < file.length; ) {
    const length = file.readUInt32LE(at + 8)
    packets.push(file.subarray(at + 16, at + 16 + length))
    at += 16 + length
  }
  return Buffer.concat(packets)
}

/** offered = packets + drops, in all and in each worker, and the workers make up the whole. */
function assertAccounted(summary: CaptureSummary): void {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  for (const row of [summary, ...summary.workers]) {
    assert.equal(row.dropped, sum(Object.values(row.drops)))
    assert.equal(row.offered, row.packets + row.dropped)
  }
  for (const name of ['packets', 'bytes', 'offered', 'dropped'] as const) assert.equal(summary[name], sum(summary.workers.map((worker) => worker[name])), name)
}

function run(...argv: string[]): Ended {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...argv], { encoding: 'utf8', timeout: 20_000 })
  return { status, signal, stdout, stderr }
}

describe('ringtap on a wire', () => {
  let testbed: Testbed
  let folder: string

  before(() => {
    // Without root each test says for itself that it is skipped.
    if (process.getuid?.() === 0) testbed = createTestbed()
    folder = mkdtempSync(join(tmpdir(), 'ringtap-cli-'))
  })
  after(() => {
    testbed?.close()
    if (folder !== undefined) rmSync(folder, { recursive: true })
  })

  const live = (name: string, body: () => void | Promise<void>) =>
    test(name, async (t) => {
      if (requireRoot(t)) await body()
    })
  const capture = (...argv: string[]) => new Running(['capture', '-i', testbed.receiver.interface, '--netns', testbed.receiver.netns, ...argv])
  const captured = (...argv: string[]) => run('capture', '-i', testbed.receiver.interface, '--netns', testbed.receiver.netns, ...argv)

  async function flood(options: Partial<FloodOptions>): Promise<number> {
    const running = await startFlood({ interface: testbed.sender.interface, netns: testbed.sender.netns, ...options })
    const { sent } = await running.finished
    return sent
  }

  function handler(name: string, text: string): string {
    const file = join(folder, name)
    writeFileSync(file, text)
    return file
  }

  live('-c ends it after exactly so many packets, and all are accounted for', async () => {
    const running = capture('-c', '100000', '--json')
    await running.says(/"type":"start"/)
    await flood({ count: 150_000 })
    const { status, stdout, stderr } = await running.ended
    assert.deepEqual([status, stderr], [0, ''])
    const types = documents(stdout).map(({ type }) => type)
    assert.equal(types[0], 'start')
    assert.equal(types.filter((type) => type === 'start' || type === 'summary').length, 2)
    const summary = summaryOf(stdout)
    assert.equal(summary.packets, 100_000)
    assert.equal(summary.bytes, 6_000_000)
    assert.equal(summary.reason, 'count')
    assert.equal(summary.backend, 'ring')
    assert.equal(summary.fanout, null)
    assertAccounted(summary)
  })

  for (const backend of ['ring', 'recv', 'xdp']) {
    live(`SIGINT ends ${backend} with several workers, and every packet of the flood is in the summary`, async () => {
      const lost = () => Object.values(testbed.wire().receiverDrops).reduce((a, b) => a + b, 0)
      const before = { ...testbed.wire(), lost: lost() }
      const workers = backend === 'xdp' ? testbed.queues : 2
      const running = capture('--backend', backend, '--workers', `${workers}`, '--interval', '100ms', '--json')
      await running.says(/"type":"start"/)
      await flood({ count: 200_000 })
      await sleep(300)
      running.child.kill('SIGINT')
      const { status, stdout } = await running.ended
      assert.equal(status, 0)
      const summary = summaryOf(stdout)
      assertAccounted(summary)
      assert.deepEqual([summary.backend, summary.fanout, summary.workers.length], [backend, backend === 'xdp' ? null : 'cpu', workers])
      // What AF_XDP drops is offered before, and the driver counts it again.
      const unseen = backend === 'xdp' ? 0 : lost() - before.lost
      assert.equal(summary.offered + unseen, testbed.wire().sent - before.sent)
      const intervals = documents(stdout).filter(({ type }) => type === 'interval')
      assert.ok(intervals.length >= 3)
      assert.equal(
        intervals.reduce((sum, interval) => sum + Number(interval.packets), 0),
        summary.packets,
      )
    })
  }

  live("a person reads tcpdump's words on stderr and a line an interval on stdout", async () => {
    const running = capture('--interval', '200ms', '-v')
    await running.says(/^listening on /m)
    await flood({ count: 1000 })
    await running.says(/drops\/s/)
    await sleep(300)
    running.child.kill('SIGTERM')
    const { status, stdout, stderr } = await running.ended
    assert.equal(status, 0)
    assert.match(stderr, /^listening on mirror0, link-type EN10MB \(Ethernet\), snapshot length \d+ bytes, backend ring, 1 worker, ring 64 MiB/)
    assert.match(stderr, /\n1000 packets captured\n1000 packets received by filter\n0 packets dropped by kernel\n/)
    assert.match(stdout, /^ +\d\.\ds +\d.*pps +\d.*bit\/s +\d+ drops\/s\n/)
    assert.match(stdout, /^ +worker 0 mirror0 +\d/m)
  })

  live('SIGUSR1 tells the counts so far, SIGUSR2 ends nothing, and SIGHUP ends it with a summary and a whole file', async () => {
    const file = join(folder, 'hangup.pcap')
    const running = capture('-q', '-w', file)
    await running.says(/^listening on /m)
    await flood({ count: 1000 })
    await sleep(300)
    running.child.kill('SIGUSR1')
    await running.says(/packets dropped by kernel/)
    running.child.kill('SIGUSR2')
    await running.says(/SIGUSR2: packets are written within 100 ms/)
    await flood({ count: 1000 })
    await sleep(300)
    running.child.kill('SIGHUP')
    const { status, stdout, stderr } = await running.ended
    assert.deepEqual([status, stdout], [0, ''])
    assert.match(stderr, /^1000 packets captured\n1000 packets received by filter\n0 packets dropped by kernel$/m)
    assert.match(stderr, /^2000 packets captured\n2000 packets received by filter\n0 packets dropped by kernel\n2000 packets written to /m)
    assert.doesNotMatch(stderr, /Debugger/)
    assert.equal(timeStampsOf(readFileSync(file)).length, 2000)
  })

  live('with --json the answer to SIGUSR1 is an event', async () => {
    const running = capture('--json', '-q')
    await running.says(/"type":"start"/)
    await flood({ count: 1000 })
    await sleep(300)
    running.child.kill('SIGUSR1')
    await running.says(/"event":"counters"/)
    running.child.kill('SIGTERM')
    const { status, stdout } = await running.ended
    assert.equal(status, 0)
    const [counters] = documents(stdout).filter(({ event }) => event === 'counters')
    assert.deepEqual([counters?.type, counters?.packets, counters?.offered, counters?.dropped], ['event', 1000, 1000, 0])
  })

  live('-q prints the summary only, --duration ends it', () => {
    const { status, stdout, stderr } = captured('-q', '--duration', '200ms')
    assert.deepEqual([status, stdout], [0, ''])
    assert.match(stderr, /\n0 packets captured\n/)
  })

  live('the second SIGINT ends it at once, even with a handler that never returns', async () => {
    const running = capture('--json', '--handler', handler('stuck.mjs', 'export default { packet() { for (;;); } }'))
    await running.says(/"type":"start"/)
    await flood({ count: 1000 })
    await sleep(200)
    running.child.kill('SIGINT')
    await sleep(200)
    const start = performance.now()
    running.child.kill('SIGINT')
    const { signal } = await running.ended
    assert.equal(signal, 'SIGINT')
    assert.ok(performance.now() - start < 1000)
  })

  live('when nobody reads stdout any more it ends without a word', async () => {
    const running = capture('--interval', '50ms')
    await running.says(/drops\/s/)
    running.child.stdout?.destroy()
    const { status, stderr } = await running.ended
    assert.equal(status, 0)
    assert.doesNotMatch(stderr, /ringtap:|EPIPE/)
  })

  live("a handler's last snapshot, merged over the workers, comes before the summary", async () => {
    const file = handler(
      'sizes.mjs',
      `export default {
        open: ({ data }) => new Map([[data.first, 0]]),
        packet(p, sizes) { sizes.set(p.wireLength, (sizes.get(p.wireLength) ?? 0) + 1) },
        snapshot: (sizes) => sizes,
        merge(a, b) { for (const [size, n] of b) a.set(size, (a.get(size) ?? 0) + n); return a },
      }`,
    )
    const running = capture('--json', '--workers', '2', '--handler', file, '--handler-data', '{"first":1}')
    await running.says(/"type":"start"/)
    await flood({ count: 10_000 })
    await sleep(200)
    running.child.kill('SIGINT')
    const { status, stdout, stderr } = await running.ended
    assert.deepEqual([status, stderr], [0, ''])
    const [snapshot, summary] = documents(stdout).slice(-2)
    const { packets } = summary as unknown as CaptureSummary
    assert.deepEqual(snapshot, { type: 'snapshot', value: { 1: 0, 60: packets } })
  })

  live('a handler that is missing, exports none, or throws', async () => {
    const cases: [file: string, status: number, message: RegExp][] = [
      [join(folder, 'missing.mjs'), 1, /^ringtap: handler .*missing\.mjs/],
      [handler('none.mjs', 'export const packet = 1'), 1, /^ringtap: handler .*none\.mjs/],
      [handler('open.mjs', "export default { open() { throw new Error('no table') }, packet() {} }"), 1, /^ringtap: .*no table/],
    ]
    for (const [file, expected, message] of cases) {
      const { status, stdout, stderr } = captured('--handler', file)
      assert.deepEqual([status, stdout], [expected, ''], file)
      assert.match(stderr, message)
      assert.doesNotMatch(stderr, /\n {4}at /)
    }

    const running = capture('--json', '--handler', handler('packet.mjs', "export default { packet() { throw new Error('bad packet') } }"))
    await running.says(/"type":"start"/)
    await flood({ count: 1000 })
    const { status, stdout, stderr } = await running.ended
    assert.equal(status, 1)
    assert.match(stderr, /^ringtap: .*bad packet/)
    assert.deepEqual(
      documents(stdout)
        .slice(-1)
        .map(({ type, code }) => [type, code]),
      [['error', 'HANDLER_FAILED']],
    )
  })

  live('bad input: one line, a hint, the right exit status', () => {
    const cases: [argv: string[], status: number, stderr: RegExp][] = [
      [['capture', '-i', 'nosuch0'], 1, /^ringtap: .*nosuch0.*\n {2}ringtap interfaces .*\n$/],
      [['capture', '-i', 'lo', '--netns', 'nosuch'], 1, /^ringtap: no network namespace 'nosuch'.*\n {2}.*\n$/],
      [['capture', '-i', 'lo', '--ring', '5000'], 2, /^ringtap: .*--ring .*--block.*\n {2}try --ring .*\n$/],
      [['capture', '-i', 'lo', '--ring', '0'], 2, /^ringtap: .*--ring /],
      [['capture', '-i', 'lo', '--ring', '8G'], 2, /^ringtap: .*--ring .*4 GiB/],
      [['capture', '-i', 'lo', '--block', '1000'], 2, /^ringtap: .*--block /],
      [['capture', '-i', 'lo', '--workers', '1000'], 2, /^ringtap: .*--workers .*256/],
      [['capture', '-i', 'lo', '--block-timeout', '100s'], 2, /^ringtap: .*--block-timeout .*65535/],
      [['capture', '-i', 'lo', '--pin', '0-5000'], 2, /^ringtap: .*--pin /],
      [['capture', '-i', 'lo', '-c', '0'], 2, /^ringtap: .*--count /],
      [['rate', '-i', 'nosuch0'], 1, /^ringtap: .*nosuch0/],
      [['interfaces', '--netns', 'nosuch'], 1, /^ringtap: no network namespace 'nosuch'/],
      [['capture', '-i', 'lo', '--netns', testbed.receiver.netns], 1, /^ringtap: lo.* down.*\n {2}.*ip .*link set .*lo up/],
      [['flood', '-i', 'lo'], 2, /^ringtap: .*veth, got lo/],
    ]
    for (const [argv, expected, message] of cases) {
      const { status, stdout, stderr } = run(...argv)
      assert.match(stderr, message, argv.join(' '))
      assert.deepEqual([status, stdout], [expected, ''], argv.join(' '))
    }
  })

  live('without CAP_NET_RAW it says so, and how to get it', () => {
    const argv = ['--bounding-set=-all', '--inh-caps=-all', process.execPath, MAIN, 'capture', '-i', 'lo', '--duration', '100ms']
    const { status, stdout, stderr } = spawnSync('setpriv', argv, { encoding: 'utf8' })
    assert.deepEqual([status, stdout], [3, ''])
    assert.match(stderr, /^ringtap: .*CAP_NET_RAW.*\n {2}.*setcap/)
  })

  live('ringtap replay: what tcpdump captured is sent again, every packet accounted for; SIGINT ends it', async () => {
    using wire = createTestbed({ queues: 1 })
    const on = ['-i', wire.sender.interface, '--netns', wire.sender.netns]
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-replay-'))
    try {
      const first = join(folder, 'first.pcap')
      const second = join(folder, 'second.pcap')
      const frames = Array.from({ length: 200 }, (_, number) => numberedFrame(number, number % 50 === 0 ? 1600 : 60 + number))
      writeFileSync(first, pcapFile(1, frames))
      const tcpdump = spawn('nsenter', [`--net=${wire.receiver.netns}`, 'tcpdump', '-i', wire.receiver.interface, '-w', second, '-U', '-c', '196'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      await new Promise<void>((resolve) => tcpdump.stderr.on('data', (text) => `${text}`.includes('listening') && resolve()))
      const ended = new Promise((resolve) => tcpdump.on('exit', resolve))
      const { status, stdout } = run('replay', first, ...on, '--rate', '2kpps', '--json')
      assert.equal(status, 0)
      const summary = documents(stdout).at(-1) as unknown as { type: string; packets: number; sent: number; refusals: { tooLong: number } }
      assert.deepEqual([summary.type, summary.packets, summary.sent, summary.refusals.tooLong], ['summary', 200, 196, 4])
      await ended
      const sent = Buffer.concat(frames.filter(({ length }) => length <= 1514))
      assert.deepEqual(packetsOf(readFileSync(second)), sent)

      // Cut within its last packet, what was sent before that is told all the same.
      const torn = join(folder, 'torn.pcap')
      writeFileSync(torn, readFileSync(first).subarray(0, -1))
      const failed = run('replay', torn, ...on, '--top-speed', '--json')
      assert.equal(failed.status, 1)
      const account = documents(failed.stdout).at(-2) as unknown as { reason: string; packets: number; sent: number; rounds: number }
      assert.deepEqual(
        documents(failed.stdout).map(({ type }) => type),
        ['start', 'summary', 'error'],
      )
      assert.deepEqual([account.reason, account.packets, account.sent, account.rounds], ['failed', 199, 195, 1])

      // The packets of the file are a second apart.
      const running = new Running(['replay', first, ...on])
      await running.says(/1\.0s/)
      running.child.kill('SIGINT')
      const end = await running.ended
      assert.equal(end.status, 0)
      assert.match(end.stderr, /^\d packets?, \d+ bytes sent in .*\n\d packets? = \d sent \+ \d refused\n/)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  live('ringtap flood: the count is exact, SIGINT ends it', async () => {
    const on = ['-i', testbed.sender.interface, '--netns', testbed.sender.netns]
    const before = testbed.wire()
    const { status, stdout } = run('flood', ...on, '-c', '30k', '--json')
    const now = testbed.wire()
    assert.equal(status, 0)
    const summary = documents(stdout).at(-1)
    assert.deepEqual([summary?.type, summary?.packets, summary?.bytes], ['summary', 30_000, 1_800_000])
    assert.equal(now.sent + now.refused - before.sent - before.refused, 30_000)

    const running = new Running(['flood', ...on, '--rate', '1k', '--json'])
    await running.says(/"type":"interval"/)
    running.child.kill('SIGINT')
    const interrupted = await running.ended
    assert.equal(interrupted.status, 0)
    assert.equal(documents(interrupted.stdout).at(-1)?.type, 'summary')
  })

  live("ringtap rate reads the interface's counters", async () => {
    const running = new Running(['rate', '-i', testbed.receiver.interface, '--netns', testbed.receiver.netns, '--interval', '200ms', '-c', '5', '--json'])
    await running.says(/"type":"interval"/)
    const before = testbed.wire()
    await flood({ count: 10_000 })
    const { status, stdout, stderr } = await running.ended
    assert.deepEqual([status, stderr], [0, ''])
    const lines = documents(stdout)
    assert.equal(lines.length, 5)
    const total = lines.at(-1)?.total as { rx: { packets: number; bytes: number }; tx: { packets: number } }
    const arrived = testbed.wire().received - before.received
    assert.deepEqual([total.rx.packets, total.rx.bytes, total.tx.packets], [arrived, arrived * 60, 0])
  })

  live('ringtap interfaces looks into the namespace', () => {
    const { status, stdout } = run('interfaces', '--netns', testbed.receiver.netns, '--json')
    assert.equal(status, 0)
    const { interfaces } = JSON.parse(stdout) as { interfaces: Record<string, unknown>[] }
    const mirror = interfaces.find(({ name }) => name === testbed.receiver.interface)
    assert.deepEqual(
      [mirror?.state, mirror?.mtu, mirror?.driver, mirror?.rxQueues, mirror?.netns],
      ['up', 1500, 'veth', testbed.queues, testbed.receiver.netns],
    )
    assert.match(run('interfaces', '--netns', testbed.receiver.netns).stdout, /^NAME +STATE +MAC +MTU +DRIVER +SPEED +RX QUEUES +TX QUEUES +NAMESPACE\n/)
    assert.equal(run('-D').stdout, run('interfaces').stdout)
  })

  live('ringtap interfaces knows one by an alternative name, as capture does', () => {
    const { netns, interface: name } = testbed.receiver
    inNamespace(netns, 'ip', 'link', 'property', 'add', 'dev', name, 'altname', 'other0')
    for (const asked of [['other0'], ['other0', '-i', name]]) {
      const { status, stdout } = run('interfaces', '--netns', netns, '--json', '-i', ...asked)
      const { interfaces } = JSON.parse(stdout) as { interfaces: { name: string }[] }
      assert.deepEqual([status, interfaces.map((it) => it.name)], [0, [name]])
    }
    const missing = run('interfaces', '--netns', netns, '-i', 'other1')
    assert.deepEqual([missing.status, missing.stderr], [1, 'ringtap: other1: no interface of that name\n'])
    inNamespace(netns, 'ip', 'link', 'property', 'del', 'dev', name, 'altname', 'other0')
  })
})
