/**
 * Random filters and packets that nearly match them, and everybody who can say whether the one takes the other. libpcap's unoptimised
 * program, run as Linux runs it, is the reference; the others are libpcap's own interpreter, tcpdump reading a file, our program
 * before and after the optimiser, the JavaScript matcher, the XDP program in the kernel, and a socket's filter on a veth.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Instruction } from '#src/bpf/classic.js'
import { assemble } from '#src/bpf/ebpf.js'
import { type Ancillary, interpret, isAncillary } from '#src/bpf/interpret.js'
import { compileMatcher } from '#src/bpf/matcher.js'
import { CaptureError } from '#src/errors.js'
import { compileFilter } from '#src/filter/compile.js'
import type { GenerateOptions } from '#src/filter/generate.js'
import { LINK_TYPES, type LinkType } from '#src/filter/link-type.js'
import { readNameTables } from '#src/host/name-tables.js'
import { loadProgram, runProgram } from '#src/kernel/bpf-program.js'
import { openKernel } from '#src/kernel/system.js'
import { randomFrame } from './filter-packets.js'
import { FilteredSocket } from './filtered-socket.js'
import type { Libpcap } from './libpcap.js'
import type { LibpcapCompiler } from './libpcap-compiler.js'
import { packetsOf } from './link-packets.js'
import { pcapFile, timeStampsOf } from './pcap-file.js'
import type { Random } from './random.js'
import { randomFilter, UNCOMPARED } from './random-filter.js'
import { clearingMemory, compileUnoptimised } from './verdicts.js'
import { ACCEPTED, verdictProgram } from './xdp-filter.js'

const SNAP_LENGTH = 262144
/** What BPF_PROG_RUN says of a packet: it came in by the loopback interface. */
const ANCILLARY: Ancillary = { packetType: 0, interfaceIndex: 1, hasVlan: false, vlanTci: 0 }
/** The optimiser of libpcap finds these where its compiler does not; ours has none that it does without. */
const BY_CONSTANTS = /by zero|31 bits/
const LINK_TYPE_NAMES = Object.keys(LINK_TYPES) as LinkType[]
/** Packets of which those are looked for that an expression accepts. */
const POOL = 600
/** tcpdump is a process: it is asked about one expression of so many. */
const TCPDUMP_EACH = 20
const PROGRESS_EACH = 1000

export type Judge = 'unoptimised' | 'optimised' | 'matcher' | 'bpf_filter' | 'tcpdump' | 'xdp' | 'socket'

export interface DifferentialReport {
  /** Expressions that are some; those that are errors on both sides stand beside them. */
  expressions: number
  refused: number
  /** Left out, as the table of differences says. */
  uncompared: number
  pairs: number
  accepted: number
  /** Verdicts that each gave. */
  verdicts: Record<Judge, number>
  disagreements: string[]
}

export interface DifferentialOptions {
  readonly random: Random
  readonly expressions: number
  readonly packetsEach: number
  readonly libpcap: Libpcap
  readonly compiler: LibpcapCompiler
  readonly progress?: (report: DifferentialReport) => void
}

/** Needs root, for the kernel's verdicts. */
export async function runDifferential(options: DifferentialOptions): Promise<DifferentialReport> {
  const { random, expressions, progress } = options
  const verdicts = { unoptimised: 0, optimised: 0, matcher: 0, bpf_filter: 0, tcpdump: 0, xdp: 0, socket: 0 }
  const report: DifferentialReport = { expressions: 0, refused: 0, uncompared: 0, pairs: 0, accepted: 0, verdicts, disagreements: [] }
  using judges = new Judges(options, report, await readNameTables(EVERY_NAME))
  while (report.expressions < expressions) {
    const text = randomFilter(random)
    const linkType = random.oneIn(4) ? random.pick(LINK_TYPE_NAMES) : 'EN10MB'
    if (UNCOMPARED.some((pattern) => pattern.test(text))) {
      report.uncompared++
      continue
    }
    const before = report.expressions
    await judges.compare(text, linkType)
    if (report.expressions > before && report.expressions % PROGRESS_EACH === 0) progress?.(report)
  }
  return report
}

const EVERY_NAME = { services: ['every'], protocols: ['every'], networks: ['every'], ethers: ['every'], hosts: ['localhost'] }

class Judges implements Disposable {
  readonly #options: DifferentialOptions
  readonly #report: DifferentialReport
  readonly #names: GenerateOptions['names']
  readonly #kernel = openKernel()
  readonly #socket = new FilteredSocket()
  readonly #folder = mkdtempSync(join(tmpdir(), 'ringtap-differential-'))
  readonly #pools = new Map<LinkType, Uint8Array[]>()

  constructor(options: DifferentialOptions, report: DifferentialReport, names: GenerateOptions['names']) {
    this.#options = options
    this.#report = report
    this.#names = names
  }

  async compare(text: string, linkType: LinkType): Promise<void> {
    const report = this.#report
    const { compiler, random } = this.#options
    const generateOptions = { linkType, snapLengthBytes: SNAP_LENGTH, names: this.#names, netmask: 0 }
    const { dlt } = LINK_TYPES[linkType]
    const unoptimised = compileUnoptimised(text, generateOptions)
    const reference = compiler.compile(text, dlt, false)
    if (typeof reference === 'string' || typeof unoptimised === 'string') {
      if (typeof reference === typeof unoptimised) report.refused++
      else if (BY_CONSTANTS.test(`${reference} ${unoptimised}`)) report.uncompared++
      else this.#disagree(text, linkType, `we make ${shown(unoptimised)}, libpcap ${shown(reference)}`)
      return
    }
    report.expressions++
    const program = clearingMemory(reference)
    const expected = (bytes: Uint8Array) => interpret(program, bytes, 0, bytes.length, bytes.length, ANCILLARY) !== 0
    const packets = this.#packets(linkType, expected)
    const wanted = packets.map(expected)
    report.pairs += packets.length
    for (const isAccepted of wanted) if (isAccepted) report.accepted++
    const ask = (judge: Judge, accepts: (bytes: Uint8Array, at: number) => boolean | undefined, others = wanted) => {
      for (const [at, bytes] of packets.entries()) {
        const verdict = accepts(bytes, at)
        if (verdict === undefined) continue
        report.verdicts[judge]++
        if (verdict === others[at]) continue
        this.#disagree(text, linkType, `${judge} says ${verdict} of ${Buffer.from(bytes).toString('hex')}, the others ${others[at]}`)
        return
      }
    }
    ask('unoptimised', (bytes) => interpret(unoptimised, bytes, 0, bytes.length, bytes.length, ANCILLARY) !== 0)
    const optimised = this.#optimised(text, generateOptions)
    if (optimised === undefined) return ask('optimised', () => false)
    ask('optimised', (bytes) => interpret(optimised, bytes, 0, bytes.length, bytes.length, ANCILLARY) !== 0)
    const matches = compileMatcher(optimised)
    ask('matcher', (bytes) => matches(bytes, 0, bytes.length, bytes.length, ANCILLARY) !== 0)
    const isBesideTheBytes = reference.some(([code, , , k]) => isLoad(code) && isAncillary(k))
    if (!isBesideTheBytes && !differsInLibpcap(reference)) {
      ask('bpf_filter', (bytes) => this.#options.libpcap.filter(program, bytes, bytes.length) !== 0)
      // Of packets in a file IPv6 on a loopback has other numbers.
      const inFile = compileUnoptimised(text, { ...generateOptions, savefile: 'same order' })
      if (random.oneIn(TCPDUMP_EACH) && typeof inFile !== 'string') {
        const taken = this.#tcpdump(text, linkType, packets)
        ask(
          'tcpdump',
          (_, at) => taken.has(at),
          packets.map((bytes) => interpret(inFile, bytes, 0, bytes.length, bytes.length) !== 0),
        )
      }
    }
    this.#askXdp(optimised, ask)
    if (linkType === 'EN10MB') await this.#askSocket(text, generateOptions, packets)
  }

  /** undefined: it rejects all packets. */
  #optimised(text: string, { linkType, names, netmask }: GenerateOptions): readonly Instruction[] | undefined {
    try {
      return compileFilter(text, { linkType, names, netmask, snapLengthBytes: SNAP_LENGTH }).instructions
    } catch (error) {
      if (error instanceof CaptureError && /rejects all packets/.test(error.message)) return undefined
      throw error
    }
  }

  #askXdp(program: readonly Instruction[], ask: (judge: Judge, accepts: (bytes: Uint8Array) => boolean | undefined) => void): void {
    using loaded = loadProgram(this.#kernel, { name: 'ringtap_filter', type: 'xdp', code: assemble(verdictProgram(program, false)) })
    ask('xdp', (bytes) => (bytes.length < 14 ? undefined : runProgram(this.#kernel, loaded.fd, { data: bytes }).retval === ACCEPTED))
  }

  /** The program of a live capture, for packets without the tag that the kernel has taken out. */
  async #askSocket(text: string, { names, netmask }: GenerateOptions, packets: readonly Uint8Array[]): Promise<void> {
    const report = this.#report
    let program: readonly Instruction[]
    try {
      program = compileFilter(text, { names, netmask, snapLengthBytes: SNAP_LENGTH, vlan: 'ancillary' }).instructions
    } catch (error) {
      if (error instanceof CaptureError && error.code === 'INVALID_FILTER') return
      throw error
    }
    assert.equal(this.#socket.attach(program), 0, text)
    const sent = packets.filter((frame) => frame.length >= FilteredSocket.LEAST_BYTES)
    const received = sent.map((frame) => this.#socket.received(frame))
    const wanted = received.filter(({ bytes, ancillary }) => interpret(program, bytes, 0, bytes.length, bytes.length, ancillary) !== 0)
    const taken = await this.#socket.take(sent)
    report.verdicts.socket += sent.length
    const [theirs, ours] = [taken, wanted.map(({ bytes }) => bytes)].map((frames) => frames.map((frame) => Buffer.from(frame).toString('hex')))
    const at = (theirs as string[]).findIndex((frame, place) => frame !== (ours as string[])[place])
    if (taken.length === wanted.length && at < 0) return
    this.#disagree(text, 'EN10MB', `socket takes ${taken.length}, the interpreter ${wanted.length} of ${sent.length}; first ${theirs?.[at]} and ${ours?.[at]}`)
  }

  /** Which of them tcpdump writes as it reads them from a file. */
  #tcpdump(text: string, linkType: LinkType, packets: readonly Uint8Array[]): Set<number> {
    const file = join(this.#folder, 'packets.pcap')
    const { dlt, ...row } = LINK_TYPES[linkType]
    writeFileSync(file, pcapFile('linktype' in row ? row.linktype : dlt, packets))
    const { status, stdout, stderr } = spawnSync('tcpdump', ['-Z', 'root', '-O', '-r', file, '-w', '-', '--', text], { maxBuffer: 2 ** 26 })
    assert.equal(status, 0, `tcpdump ${text}: ${stderr}`)
    return new Set(timeStampsOf(stdout))
  }

  /** Half of them accepted, or one change away from it, where some are accepted at all. */
  #packets(linkType: LinkType, accepts: (bytes: Uint8Array) => boolean): Uint8Array[] {
    const { random, packetsEach } = this.#options
    let pool = this.#pools.get(linkType)
    if (pool === undefined) {
      pool = packetsOf(linkType).map(({ bytes }) => Uint8Array.from(bytes))
      const frame = () => (linkType === 'EN10MB' ? randomFrame(random) : changed(random, random.pick(pool as Uint8Array[])))
      while (pool.length < POOL) pool.push(frame())
      this.#pools.set(linkType, pool)
    }
    const found = pool.filter(accepts)
    return Array.from({ length: packetsEach }, (_, at) => {
      if (at % 2 === 0) return random.pick(pool)
      return changed(random, random.pick(found.length > 0 ? found : pool))
    })
  }

  #disagree(text: string, linkType: LinkType, why: string): void {
    this.#report.disagreements.push(`${linkType} '${text}': ${why}`)
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const INTERESTING = [0, 1, 4, 5, 6, 8, 0x11, 0x45, 0x60, 0x81, 0xff]

/** As it is, cut, or with a byte or two changed, mostly in the headers. */
function changed(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  if (copy.length === 0) return copy
  switch (random.between(0, 3)) {
    case 0:
      return copy
    case 1:
      return copy.slice(0, random.between(0, copy.length))
    default:
      for (let left = random.between(1, 2); left > 0; left--) {
        copy[random.between(0, Math.min(copy.length, 80) - 1)] = random.oneIn(2) ? random.pick(INTERESTING) : random.between(0, 255)
      }
      return copy
  }
}

const BPF_CLASS = 0x07
const BPF_LD = 0x00
const BPF_MODE = 0xe0
const BPF_ABS = 0x20
const BPF_IND = 0x40
const isLoad = (code: number) => (code & BPF_CLASS) === BPF_LD && (code & BPF_MODE) === BPF_ABS

/** Where bpf_filter() is not as Linux: a shift by what was computed, and an offset that is added to what was. */
function differsInLibpcap(program: readonly Instruction[]): boolean {
  const isShift = (code: number) => code === 0x6c || code === 0x7c
  return program.some(([code, , , k]) => isShift(code) || ((code & BPF_CLASS) === BPF_LD && (code & BPF_MODE) === BPF_IND && (k > 0 || isAncillary(k))))
}

function shown(made: readonly Instruction[] | string): string {
  return typeof made === 'string' ? `'${made}'` : `${made.length} instructions`
}
