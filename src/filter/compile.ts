/** Filter expressions compiled: text to a program, and what can be done with it. Pure; names come from outside. */
import { type Instruction, validateProgram } from '../bpf/classic.js'
import { formatProgram, type ProgramStyle } from '../bpf/classic-text.js'
import { disassemble } from '../bpf/ebpf.js'
import { compileMatcher, type Matcher } from '../bpf/matcher.js'
import { xskFilterProgram } from '../bpf/xsk-filter-program.js'
import { CaptureError } from '../errors.js'
import { explainFilter } from './explain.js'
import { FilterError } from './filter-error.js'
import { type GenerateOptions, generateFilter, refuseRejectingAll } from './generate.js'
import { linearise } from './linearise.js'
import { LINK_TYPES, type LinkType, linkTypeNamed, linkTypeNumbered } from './link-type.js'
import { type NameTables, NO_NAMES } from './names.js'
import { optimise } from './optimise.js'
import { parseFilter } from './parser.js'

export interface FilterOptions {
  /** What the packets begin with: a name of `tcpdump -y` (`EN10MB`, `RAW`, `LINUX_SLL`, …) or the number in a capture file. Default `EN10MB`, Ethernet. */
  linkType?: string | number | undefined
  /** What the program answers for a packet that it accepts: how many bytes to keep. 1 to 2^32 - 1, default 262144. */
  snapLengthBytes?: number | undefined
  /** What names in the expression mean; `resolveFilterNames` asks the system. Default: none, addresses and numbers only. */
  names?: NameTables | undefined
  /** Of the interface's IPv4 network, as a 32-bit number; `ip broadcast` needs it. */
  netmask?: number | undefined
  /** Where the outermost VLAN tag is: in the packet, or, as in a live capture's socket, beside it (then both are tested). Default `packet`. */
  vlan?: 'packet' | 'ancillary' | undefined
  /** The packets come from a file, and its byte order is that of this machine or not. */
  savefile?: 'same order' | 'swapped' | undefined
}

export interface CompiledFilter {
  readonly text: string
  readonly linkType: LinkType
  /** Classic BPF, as SO_ATTACH_FILTER takes it. */
  readonly instructions: readonly Instruction[]
  /** What `tcpdump -d`, `-dd` or `-ddd` prints, the last newline included. */
  toString(style?: ProgramStyle): string
  /**
   * The XDP program of a capture with this filter, a line an instruction.
   * @throws CaptureError INVALID_OPTION for what XDP has no answer to, such as a VLAN tag beside the packet.
   */
  toEbpf(): string
  /** Whether the filter accepts a packet. What it asks beside the bytes, as `inbound` does, nothing here answers: then it rejects. */
  matches(bytes: Uint8Array, wireLength?: number): boolean
  /** The expression in plain words, a line for each clause of its outermost level. */
  explain(): string[]
}

/**
 * Compiles an expression of pcap-filter(7).
 * @throws FilterError, a CaptureError INVALID_FILTER with the place, for an expression that is none, names what is unknown, or
 * rejects all packets.
 * @throws CaptureError INVALID_OPTION for an option that is wrong.
 */
export function compileFilter(text: string, options: FilterOptions = {}): CompiledFilter {
  if (typeof text !== 'string') throw new CaptureError('INVALID_OPTION', `Expected the filter to be a string, got ${typeof text}`)
  const generateOptions = checked(options)
  const expression = parseFilter(text)
  const graph = optimise(generateFilter(expression, generateOptions))
  refuseRejectingAll(expression, graph)
  const instructions = laidOut(text, () => linearise(graph))
  validateProgram(instructions)
  let matcher: Matcher | undefined
  return {
    text,
    linkType: generateOptions.linkType,
    instructions,
    toString: (style = 'd') => formatProgram(instructions, style),
    toEbpf: () => `${disassemble(xskFilterProgram(instructions)).join('\n')}\n`,
    matches(bytes, wireLength = bytes.length) {
      matcher ??= compileMatcher(instructions)
      return matcher(bytes, 0, bytes.length, wireLength) !== 0
    },
    explain: () => explainFilter(expression, generateOptions.vlan),
  }
}

/** What is wrong with the program is wrong with the expression as a whole. */
function laidOut(text: string, lay: () => Instruction[]): Instruction[] {
  try {
    return lay()
  } catch (error) {
    if (!(error instanceof CaptureError) || error.code !== 'INVALID_FILTER') throw error
    throw new FilterError(error.message, text, { start: 0, end: text.length }, error.hint)
  }
}

const MAX_U32 = 2 ** 32 - 1
const DEFAULT_SNAP_LENGTH_BYTES = 262_144
const KNOWN: Readonly<Record<keyof FilterOptions, true>> = { linkType: true, snapLengthBytes: true, names: true, netmask: true, vlan: true, savefile: true }

function checked(options: FilterOptions): GenerateOptions {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(KNOWN, name)) throw new CaptureError('INVALID_OPTION', `Unknown option ${name}`, { hint: `options: ${Object.keys(KNOWN).join(', ')}` })
  }
  const { linkType = 'EN10MB', snapLengthBytes = DEFAULT_SNAP_LENGTH_BYTES, names = NO_NAMES, netmask, vlan, savefile } = options
  const found = typeof linkType === 'number' ? linkTypeNumbered(linkType) : linkTypeNamed(String(linkType))
  if (found === undefined) throw invalid('linkType', 'one that filters are made for', linkType, `link types: ${Object.keys(LINK_TYPES).join(', ')}`)
  const isWord = (value: number, least: number) => Number.isInteger(value) && value >= least && value <= MAX_U32
  if (!isWord(snapLengthBytes, 1)) throw invalid('snapLengthBytes', `an integer from 1 to ${MAX_U32}`, snapLengthBytes)
  if (netmask !== undefined && !isWord(netmask, 0)) throw invalid('netmask', `an integer from 0 to ${MAX_U32}`, netmask)
  if (vlan !== undefined && vlan !== 'packet' && vlan !== 'ancillary') throw invalid('vlan', "'packet' or 'ancillary'", vlan)
  if (savefile !== undefined && savefile !== 'same order' && savefile !== 'swapped') throw invalid('savefile', "'same order' or 'swapped'", savefile)
  return { linkType: found, snapLengthBytes, names, netmask, vlan, savefile }
}

function invalid(option: string, expected: string, got: unknown, hint?: string): CaptureError {
  return new CaptureError('INVALID_OPTION', `Expected the option ${option} to be ${expected}, got ${String(got)} (${typeof got})`, { hint })
}
