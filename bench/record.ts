/**
 * Recording a flood at full rate to a file on disk, by ringtap and by tcpdump and dumpcap, one after another on a wire of their own:
 * what was offered, what is in the file, and where the rest was lost. Each file is read again to count its packets. Needs root.
 *
 * What it takes to lose nothing on ring+fanout, as seen here (2 cores, ext4, frames of 60 bytes): nothing but a ring that outlasts the
 * pauses of a worker. With a ring of 4 or 8 MiB a worker 3 to 4 % were lost on a machine with four times more to do than cores, with 16
 * MiB and more none; the default is 64. Buffers of 1 MiB take one write(2) for 11,000 packets. The page cache takes 37 to 91 ns
 * a packet, more than making the record; it does not throttle (balance_dirty_pages) as long as what is not yet on the disk stays below
 * vm.dirty_background_ratio, 10 % of free memory: 16 million short frames are 1.5 GB. Beyond that the disk's own rate is the limit, whoever
 * writes: of 3 million frames of 1514 bytes at 1.5 GB/s 43 % were kept, the rest counted as `ring`.
 *
 *   npm run bench:record [-- [FRAMES] [FRAME_BYTES] [NAME...]]
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readProcessTime } from '#src/cli/bench/cores.js'
import { createTestbed, startFlood, type Testbed, type TestbedEnd } from '#src/testbed/index.js'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const IDLE_STEP_MS = 200
const IDLE_LIMIT_MS = 60_000

interface Tool {
  name: string
  /** Program and arguments, to record what arrives at this end into this file. */
  command: (end: TestbedEnd, file: string) => string[]
  ending: string
  /** What it says on stdout or stderr when it captures. */
  ready: RegExp
  /** Packets that it says it lost, by name, from all that it said. */
  losses: (said: string) => Record<string, number>
}

const ringtap = (name: string, ...options: string[]): Tool => ({
  name: `ringtap ${name}`,
  command: (end, file) => [process.execPath, MAIN, 'capture', '-i', end.interface, '--netns', end.netns, '-w', file, '--json', '-q', ...options],
  ending: 'pcapng',
  ready: /"type":"start"/,
  losses: (said) => {
    const summary = said.split('\n').find((line) => line.includes('"type":"summary"'))
    return summary === undefined ? {} : (JSON.parse(summary) as { drops: Record<string, number> }).drops
  },
})

const packetsBefore = (words: string, said: string) => Number(new RegExp(`(\\d+) packets? ${words}`).exec(said)?.[1] ?? 0)

const TOOLS: readonly Tool[] = [
  ringtap('ring+fanout', '--backend', 'ring', '--workers', 'auto'),
  ringtap('in order', '--backend', 'ring', '--workers', 'auto', '--order'),
  ringtap('xdp', '--backend', 'xdp', '--exclusive'),
  {
    name: 'tcpdump',
    command: (end, file) => ['nsenter', `--net=${end.netns}`, 'tcpdump', '-i', end.interface, '-n', '-Z', 'root', '-B', '65536', '-w', file],
    ending: 'pcap',
    ready: /listening on/,
    losses: (said) => ({
      kernel: packetsBefore('dropped by kernel', said),
      interface: packetsBefore('dropped by interface', said),
      unread: packetsBefore('received by filter', said) - packetsBefore('dropped by kernel', said) - packetsBefore('captured', said),
    }),
  },
  {
    name: 'dumpcap',
    command: (end, file) => ['nsenter', `--net=${end.netns}`, 'dumpcap', '-i', end.interface, '-q', '-B', '64', '-w', file],
    ending: 'pcapng',
    ready: /File: /,
    losses: (said) => ({ kernel: Number(/received\/dropped on interface [^:]*: \d+\/(\d+)/.exec(said)?.[1] ?? 0) }),
  },
]

interface Result {
  offered: number
  seconds: number
  recorded: number
  bytes: number
  losses: Record<string, number>
  userMs: number
  systemMs: number
}

async function run(tool: Tool, testbed: Testbed, file: string, frames: number, frameBytes: number): Promise<Result> {
  const [program, ...rest] = tool.command(testbed.receiver, file) as [string, ...string[]]
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  const ended = once(child, 'close')
  try {
    while (!tool.ready.test(said)) {
      if (child.exitCode !== null) throw new Error(`${tool.name} ended: ${said}`)
      await sleep(20)
    }
    // dumpcap says the name of its file before it listens.
    await sleep(500)
    const before = testbed.wire()
    const flood = await startFlood({ ...testbed.sender, count: frames, frameBytes })
    const { sent, seconds } = await flood.finished
    await idle(child)
    const { userMs, systemMs } = readProcessTime(child.pid as number)
    const after = testbed.wire()
    child.kill('SIGINT')
    await ended
    const lost = (counters: ReturnType<Testbed['wire']>) => Object.values(counters.receiverDrops).reduce((a, b) => a + b, 0)
    const { packets, bytes } = countRecords(file)
    const own = tool.losses(said)
    // In AF_XDP's native mode the driver counts what stands in the drops of the socket, too.
    const driver = Math.max(0, lost(after) - lost(before) - (own.fillRing ?? 0) - (own.rxRing ?? 0) - (own.oversize ?? 0) - (own.redirect ?? 0))
    const losses = { wire: after.refused - before.refused, driver, ...own }
    return { offered: sent, seconds, recorded: packets, bytes, losses, userMs, systemMs }
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL')
  }
}

/** Until the process has had nothing to do for a while. */
async function idle(child: ChildProcess): Promise<void> {
  const limit = Date.now() + IDLE_LIMIT_MS
  for (let before = -1; Date.now() < limit; ) {
    const { userMs, systemMs } = readProcessTime(child.pid as number)
    if (userMs + systemMs - before <= 10) return
    before = userMs + systemMs
    await sleep(IDLE_STEP_MS)
  }
}

/** Walks a file from its first record to the very last byte, which must be the end of one. */
function countRecords(path: string): { packets: number; bytes: number } {
  const fd = openSync(path, 'r')
  const { size } = fstatSync(fd)
  const window = Buffer.allocUnsafe(2 ** 22)
  let from = 0
  let filled = 0
  /** `length` bytes from `at` of the file; the window moves on to them. */
  const field = (at: number, length: number): number => {
    if (at < from || at + length > from + filled) {
      from = at
      filled = readSync(fd, window, 0, window.length, at)
      if (filled < length) throw new Error(`${path} ends within a record, at ${at} of ${size}`)
    }
    return window.readUInt32LE(at - from)
  }
  try {
    const isPcapng = field(0, 4) === 0x0a0d0d0a
    let packets = 0
    let at = isPcapng ? 0 : 24
    while (at < size) {
      if (!isPcapng || field(at, 4) === 6) packets++
      at += isPcapng ? field(at + 4, 4) : 16 + field(at + 8, 4)
    }
    if (at !== size) throw new Error(`${path}: the last record ends at ${at}, the file at ${size}`)
    return { packets, bytes: size }
  } finally {
    closeSync(fd)
  }
}

const [frames = '16000000', frameBytes = '60', ...names] = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'ringtap-record-'))
const testbed = createTestbed()
try {
  console.log(`${frames} frames of ${frameBytes} bytes at full rate; Node.js ${process.version}`)
  const header = ['', 'offered Mpps', 'recorded', 'recorded Mpps', 'in the file', 'MB', 'CPU ns a packet', 'lost']
  const widths = [20, 13, 12, 14, 12, 7, 16, 0]
  console.log(header.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '))
  for (const tool of TOOLS) {
    if (names.length > 0 && !names.some((name) => tool.name.includes(name))) continue
    if (!tool.name.startsWith('ringtap') && spawnSync('which', [tool.name]).status !== 0) {
      console.log(`${tool.name.padEnd(20)}  not installed`)
      continue
    }
    const file = join(folder, `record.${tool.ending}`)
    const { offered, seconds, recorded, bytes, losses, userMs, systemMs } = await run(tool, testbed, file, Number(frames), Number(frameBytes))
    rmSync(file)
    const named = Object.entries(losses).filter(([, lost]) => lost > 0)
    const rest = offered - recorded - named.reduce((sum, [, lost]) => sum + lost, 0)
    const cells = [
      tool.name,
      (offered / seconds / 1e6).toFixed(2),
      String(recorded),
      (recorded / seconds / 1e6).toFixed(2),
      `${((100 * recorded) / offered).toFixed(2)} %`,
      (bytes / 1e6).toFixed(0),
      `${Math.round((userMs * 1e6) / recorded)} + ${Math.round((systemMs * 1e6) / recorded)}`,
      [...named.map(([name, lost]) => `${name} ${lost}`), ...(rest === 0 ? [] : [`unsaid ${rest}`])].join(', ') || 'nothing',
    ]
    console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '))
  }
} finally {
  testbed.close()
  rmSync(folder, { recursive: true, force: true })
}
