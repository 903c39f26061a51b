/** What the parts of the generator share while one expression is compiled. Pure. */
import { BPF_MEMWORDS } from '../../kernel/abi/filter.js'
import { type Columns, FilterError } from '../filter-error.js'
import type { LinkType } from '../link-type.js'
import type { NameTables } from '../names.js'
import { type Layers, outermostLayers } from './layers.js'

export interface GenerateOptions {
  linkType: LinkType
  /** What an accepting filter answers: how many bytes of the packet are kept. */
  snapLengthBytes: number
  names: NameTables
  /** Of the interface, as 32 bits; `ip broadcast` needs it. */
  netmask?: number | undefined
  /**
   * Where the outermost VLAN tag is: in the bytes of the packet, or, as in live captures, where Linux put it when it took it from
   * there. Then both are tested, since some drivers leave it.
   */
  vlan?: 'packet' | 'ancillary' | undefined
  /**
   * The packets come from a file: its byte order against this machine's. There `inbound`, `outbound` and `ifindex` need a link type
   * that has them in its header, and IPv6 on a loopback has the address families of the BSDs.
   */
  savefile?: 'same order' | 'swapped' | undefined
}

/** The kernel takes programs of 4096 instructions; this bounds the time that a hostile expression takes. */
const TEST_LIMIT = 32768

export class Generation {
  readonly options: GenerateOptions
  readonly layers: Layers
  /** The primitive that is being compiled. */
  at: Columns = { start: 0, end: 0 }
  readonly #text: string
  readonly #kept = new Set<number>()
  readonly #passing = new Set<number>()
  #tests = 0

  constructor(text: string, options: GenerateOptions) {
    this.#text = text
    this.options = options
    this.layers = outermostLayers(options.linkType)
  }

  fail(message: string, hint?: string): never {
    throw new FilterError(message, this.#text, this.at, hint)
  }

  /** Of the primitive it is this word that is wrong: the last such one, as what is named stands behind its qualifiers. */
  failAtWord(word: string, message: string, hint?: string): never {
    const { start, end } = this.at
    const found = this.#text.slice(start, end).lastIndexOf(word)
    const at = found < 0 ? this.at : { start: start + found, end: start + found + word.length }
    throw new FilterError(message, this.#text, at, hint)
  }

  /** Tests that the program will have. */
  count(tests: number): void {
    this.#tests += tests
    if (this.#tests > TEST_LIMIT) this.fail(`the filter expression needs more than ${TEST_LIMIT} tests`)
  }

  /** Those that hold offsets. They are 0 when the program begins, as Linux refuses one that may read what was not written. */
  get keptRegisters(): readonly number[] {
    return [...this.#kept]
  }

  /**
   * A scratch register for the rest of the program. NB: it must not be one that an arithmetic expression further left writes to:
   * libpcap takes such ones, and `tcp[13] = 2 and vlan and tcp` then looks in the wrong place.
   */
  keepRegister(): number {
    for (let register = BPF_MEMWORDS - 1; register >= 0; register--) {
      if (this.#kept.has(register) || this.#passing.has(register)) continue
      this.#kept.add(register)
      return register
    }
    return this.fail('too many registers needed to evaluate expression')
  }

  /** A scratch register for a value, while `written` are written to. */
  passingRegister(written: ReadonlySet<number>): number {
    for (let register = 0; register < BPF_MEMWORDS; register++) {
      if (this.#kept.has(register) || written.has(register)) continue
      this.#passing.add(register)
      return register
    }
    return this.fail('too many registers needed to evaluate expression')
  }
}
