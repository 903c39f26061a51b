/**
 * One ArrayBuffer over memory of several kinds: the linear memory of WebAssembly, into which the kernel's rings are mapped beside
 * memory of our own. So compiled code walks a ring in place and writes next to it, and typed arrays see the same bytes.
 *
 * It stays V8's: a mapping inside of it is covered with zero pages when it is closed, as any (mapping.ts), and the address range goes
 * with the last reference to the buffer, at the latest with the thread. The memory never grows, so V8 never moves it.
 */
import { alignUp } from '../bytes/align.js'
import type { Kernel } from './system.js'

const PAGE_BYTES = 65_536
/** What 32-bit addresses reach. */
const MAX_PAGES = 65_536
const CACHE_LINE_BYTES = 64

/** As much of the JavaScript API of WebAssembly as is used; neither es2023 nor Node's types have it. */
interface WebAssemblyApi {
  Memory: new (descriptor: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> }
  validate(bytes: Uint8Array): boolean
}

/** Absent where V8 makes no machine code at run time (--jitless). */
function webAssembly(): WebAssemblyApi | undefined {
  return (globalThis as { WebAssembly?: WebAssemblyApi }).WebAssembly
}

/** Whether V8 would take this module here: not every machine has every instruction. */
export function isValidModule(bytes: Uint8Array): boolean {
  return webAssembly()?.validate(bytes) ?? false
}

export class LinearMemory {
  readonly buffer: ArrayBuffer
  readonly address: bigint
  readonly #memory: object
  #taken = 0

  private constructor(kernel: Kernel, memory: { readonly buffer: ArrayBuffer }) {
    this.#memory = memory
    this.buffer = memory.buffer
    this.address = kernel.addressOf(memory.buffer)
  }

  /**
   * Room for so many bytes, that begins at a multiple of `alignment`. undefined where there is no WebAssembly, or no address space for
   * it, or an alignment that V8 did not happen to take.
   */
  static create(kernel: Kernel, bytes: number, alignment = PAGE_BYTES): LinearMemory | undefined {
    const pages = Math.ceil(bytes / PAGE_BYTES)
    const api = webAssembly()
    if (api === undefined || pages > MAX_PAGES) return undefined
    try {
      const memory = new LinearMemory(kernel, new api.Memory({ initial: pages, maximum: pages }))
      return memory.address % BigInt(alignment) === 0n ? memory : undefined
    } catch {
      // RangeError: a limit on address space (RLIMIT_AS), of which V8 wants 10 GiB for each.
      return undefined
    }
  }

  /** The first `bytes`; their address. For a mapping. */
  takeBeginning(bytes: number): bigint {
    if (this.#taken !== 0 || bytes > this.buffer.byteLength) throw new Error(`no ${bytes} bytes at the beginning of a linear memory`)
    this.#taken = bytes
    return this.address
  }

  /** The next free `bytes`, on a cache line; their offset in the buffer, undefined without room for them. */
  take(bytes: number): number | undefined {
    const at = alignUp(this.#taken, CACHE_LINE_BYTES)
    if (at + bytes > this.buffer.byteLength) return undefined
    this.#taken = at + bytes
    return at
  }

  /** The function `run` of a module that imports this memory as `env.memory`. */
  instantiate<F>(bytes: Uint8Array): F {
    const api = webAssembly() as WebAssemblyApi
    return new api.Instance(new api.Module(bytes), { env: { memory: this.#memory } }).exports.run as F
  }
}
