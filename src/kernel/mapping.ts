/**
 * Memory that was mapped, and how it ends. An ArrayBuffer over mapped memory outlives any close: whoever still holds a view
 * may read it, and a read of a hole is a SIGSEGV that no try/catch sees (KERNEL.md, 60). So `close` never unmaps: it maps
 * fresh anonymous pages over the range, which frees what was there and lets a stale view read zeros. The range itself goes
 * when no view can be left: `release`, for a thread whose isolate has ended, or reuse by the next mapping of this thread.
 */
import { alignUp } from '../bytes/align.js'
import { MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from './abi/process.js'
import { callFailed } from './errno.js'
import type { LinearMemory } from './linear-memory.js'
import type { Kernel } from './system.js'

/** Covered ranges of this thread, by length in bytes, ready to be mapped again. */
const free = new Map<number, bigint[]>()

export class Mapping {
  readonly #kernel: Kernel
  readonly address: bigint
  readonly length: number
  /** The memory; reads zeros once closed. */
  readonly buffer: ArrayBuffer
  /** The address range is ours to use again or to release; that of a linear memory stays V8's. */
  readonly ownsRange: boolean
  #open = true

  private constructor(kernel: Kernel, address: bigint, length: number, within: LinearMemory | undefined) {
    this.#kernel = kernel
    this.address = address
    this.length = length
    this.buffer = within?.buffer ?? kernel.view(address, length)
    this.ownsRange = within === undefined
  }

  /**
   * Maps `length` bytes of `fd` from `offset` on shared, read and write, or anonymous private memory when `fd` is -1. Not locked:
   * ring pages are kernel pages that cannot be swapped, and MAP_LOCKED only hits RLIMIT_MEMLOCK. `pageBytes` is the page size of
   * what is behind `fd`, where that has pages of its own (`SharedMemory.pageBytes`). Given a linear memory, the mapping is laid over
   * its beginning, of which nothing must have been taken, and `buffer` is all of that memory.
   * @throws CaptureError with the errno of mmap(2).
   */
  static map(kernel: Kernel, subject: string, fd: number, length: number, offset = 0, pageBytes = kernel.pageSize, within?: LinearMemory): Mapping {
    const size = alignUp(length, pageBytes)
    const reused = within === undefined ? takeRange(size, pageBytes) : within.takeBeginning(size)
    const flags = (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | MAP_POPULATE | (reused === 0n ? 0 : MAP_FIXED)
    const address = kernel.mmap(reused, size, PROT_READ | PROT_WRITE, flags, fd, offset)
    if (address < 0n) {
      if (reused !== 0n && refillRange(kernel, reused, size) && within === undefined) keep(size, reused)
      throw callFailed({ subject, call: `mmap(${size} bytes)`, errno: Number(address) })
    }
    return new Mapping(kernel, address, size, within)
  }

  /** Frees the memory and leaves zero pages in its place. Idempotent. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    if (coverRange(this.#kernel, this.address, this.length) && this.ownsRange) keep(this.length, this.address)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** A covered range of this length that begins where such a page may, 0n for none: an ordinary one seldom does for hugepages. */
function takeRange(length: number, pageBytes: number): bigint {
  const ranges = free.get(length) ?? []
  const at = ranges.findLastIndex((address) => address % BigInt(pageBytes) === 0n)
  return at < 0 ? 0n : (ranges.splice(at, 1)[0] as bigint)
}

function keep(length: number, address: bigint): void {
  const ranges = free.get(length)
  if (ranges === undefined) free.set(length, [address])
  else ranges.push(address)
}

/** False when the kernel refused (out of mappings): then the range stays as it is, never a hole. */
function coverRange(kernel: Kernel, address: bigint, length: number): boolean {
  return kernel.mmap(address, length, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1) >= 0n
}

/**
 * After a failed mmap(2) over the range. NB: with MAP_FIXED it removes what was there before it can fail (seen on 6.18), and
 * another thread may have been given the hole since: only what is still free is filled. False when the range is not ours again.
 */
function refillRange(kernel: Kernel, address: bigint, length: number): boolean {
  const flags = MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
  const filled = kernel.mmap(address, length, PROT_READ | PROT_WRITE, flags, -1)
  if (filled >= 0n && filled !== address) kernel.munmap(filled, length)
  return filled === address
}

/** Unmaps a range of a thread that has ended: nothing can read it any more. */
export function releaseRange(kernel: Kernel, address: bigint, length: number): void {
  kernel.munmap(address, length)
}
