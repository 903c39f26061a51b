/**
 * Nanoseconds a packet of a filter over packets in memory, without root: our compiled matcher, our interpreter, and with cc a plain
 * interpreter in C (bench/reference/bpf.c) and libpcap's bpf_filter(). The programs are tcpdump's. Over frames of many kinds, where
 * every second jump is a surprise, and over a flood of one kind, as a filter sees in an attack.
 *
 *   npm run bench:matcher
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeProgram, type Instruction } from '#src/bpf/classic.js'
import { interpret } from '#src/bpf/interpret.js'
import { compileMatcher, type Matcher } from '#src/bpf/matcher.js'
import { tcpdumpProgram } from '../test/support/classic-programs.js'
import { randomFrame } from '../test/support/filter-packets.js'
import { randomOf } from '../test/support/random.js'

const EXPRESSIONS = [
  'ip',
  'udp port 53',
  'tcp port 80 or tcp port 443',
  'tcp[tcpflags] & tcp-syn != 0 and dst port 80',
  'host 10.0.0.1 and not port 22',
  'net 10.0.0.0/8 or net 192.168.0.0/16 or host 8.8.8.8',
  'vlan and port 80',
  'ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) != 0',
  Array.from({ length: 100 }, (_, i) => `udp port ${2 * i + 1}`).join(' or '),
]
const COUNT = 4096
const ROUNDS = 15
const PACKETS_A_ROUND = 500_000

interface Packets {
  bytes: Uint8Array
  /** Offset and length of each. */
  places: Uint32Array
}

const TRAFFIC: Record<string, () => Packets> = {
  'many kinds': () => {
    const random = randomOf(1)
    return packets(() => randomFrame(random, 60))
  },
  'a UDP flood': () => {
    const random = randomOf(2)
    const frame = new Uint8Array(60)
    frame.set([2, 0, 0x5e, 0x10, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17])
    return packets(() => {
      frame.set(random.bytes(12), 26)
      return frame
    })
  },
}

function packets(make: () => Uint8Array): Packets {
  const frames = Array.from({ length: COUNT }, () => make().slice())
  const places = new Uint32Array(2 * COUNT)
  let offset = 0
  for (const [index, frame] of frames.entries()) {
    places.set([offset, frame.length], 2 * index)
    offset += frame.length
  }
  const bytes = new Uint8Array(offset)
  for (const [index, frame] of frames.entries()) bytes.set(frame, places[2 * index])
  return { bytes, places }
}

function measure(matches: Matcher, { bytes, places }: Packets): { ns: number; accepted: number } {
  const passes = Math.ceil(PACKETS_A_ROUND / COUNT)
  let best = Number.POSITIVE_INFINITY
  let accepted = 0
  for (let round = 0; round < ROUNDS; round++) {
    accepted = 0
    const start = process.hrtime.bigint()
    for (let pass = 0; pass < passes; pass++) {
      for (let i = 0; i < places.length; i += 2) {
        const length = places[i + 1] as number
        if (matches(bytes, places[i] as number, length, length) !== 0) accepted++
      }
    }
    best = Math.min(best, Number(process.hrtime.bigint() - start) / (passes * COUNT))
    accepted /= passes
  }
  return { ns: best, accepted }
}

function programOf(expression: string): Instruction[] {
  const program = tcpdumpProgram(expression)
  if (program === undefined) throw new Error(`tcpdump refuses '${expression}'`)
  return program
}

function buildTwin(folder: string): string | undefined {
  const program = join(folder, 'bpf')
  try {
    execFileSync('cc', ['-O2', '-o', program, 'bench/reference/bpf.c', '-ldl'], { stdio: 'ignore' })
    return program
  } catch {
    return undefined
  }
}

// Each figure in a process of its own, as each worker has one: the loop must not have seen another.
const [mode, traffic, expression] = process.argv.slice(2)
if (mode === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-matcher-'))
  try {
    const twin = buildTwin(folder)
    console.log(`Node.js ${process.version}; best of ${ROUNDS} rounds, nanoseconds a packet`)
    for (const [name, make] of Object.entries(TRAFFIC)) {
      console.log(`\n${name.padEnd(52)} matcher interpret${twin === undefined ? '' : '      C   libpcap'}  accepted`)
      const { bytes, places } = make()
      for (const it of EXPRESSIONS) {
        const [ours, accepted, plain] = ['compiled', 'interpreted'].flatMap((which) =>
          execFileSync(process.execPath, [process.argv[1] as string, which, name, it], { encoding: 'utf8' })
            .split(' ')
            .map(Number),
        ) as [number, number, number, number]
        const figures = [ours, plain]
        if (twin !== undefined) {
          const program = programOf(it)
          const counts = new Uint8Array(Uint32Array.of(program.length, COUNT).buffer)
          writeFileSync(join(folder, 'input'), Buffer.concat([counts, encodeProgram(program), new Uint8Array(places.buffer), bytes]))
          const [own, libpcap, theirs] = execFileSync(twin, [join(folder, 'input')], { encoding: 'utf8' })
            .split(' ')
            .map(Number) as [number, number, number]
          if (theirs !== accepted) throw new Error(`'${it}' accepts ${accepted}, in C ${theirs}`)
          figures.push(own, libpcap)
        }
        const text = it.length > 50 ? `${it.slice(0, 47)}...` : it
        console.log(`${text.padEnd(50)} ${figures.map((ns) => ns.toFixed(1).padStart(9)).join('')}${String(accepted).padStart(10)}`)
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
} else {
  const make = TRAFFIC[traffic ?? '']
  if (make === undefined || expression === undefined) throw new Error(`no traffic '${traffic}'`)
  const program = programOf(expression)
  const matches: Matcher = mode === 'compiled' ? compileMatcher(program) : (...packet) => interpret(program, ...packet)
  const { ns, accepted } = measure(matches, make())
  console.log(`${ns} ${accepted}`)
}
