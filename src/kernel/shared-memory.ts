/** Memory with a descriptor (memfd): any thread can map it, and it ends with its last descriptor and mapping, however the process ends. */
import { alignUp } from '../bytes/align.js'
import { MAP_POPULATE, MAP_SHARED, MFD_CLOEXEC, MFD_HUGETLB, O_CLOEXEC, O_RDONLY, PROT_READ, PROT_WRITE } from './abi/process.js'
import { Descriptor } from './descriptor.js'
import { callFailed, EINTR } from './errno.js'
import type { Kernel } from './system.js'

export interface SharedMemoryOptions {
  /** What it is for: in error messages and in /proc/PID/maps. */
  name: string
  bytes: number
  /** Hugepages if the pool (vm.nr_hugepages) has enough of them and one is not more than all that is asked for, else ordinary pages. */
  hugepages: boolean
}

export class SharedMemory implements Disposable {
  readonly descriptor: Descriptor
  /** Rounded up to whole pages. */
  readonly bytes: number
  /** Size of each page; for Mapping.map. */
  readonly pageBytes: number
  /** Whether they are hugepages. */
  readonly hugepages: boolean

  private constructor(descriptor: Descriptor, bytes: number, pageBytes: number, hugepages: boolean) {
    this.descriptor = descriptor
    this.bytes = bytes
    this.pageBytes = pageBytes
    this.hugepages = hugepages
  }

  /**
   * Makes memory that reads zeros. Hugepages since Linux 4.14.
   * @throws CaptureError with the errno of memfd_create(2) or ftruncate(2) for ordinary pages.
   */
  static create(kernel: Kernel, options: SharedMemoryOptions): SharedMemory {
    const hugepageBytes = options.hugepages ? readHugepageBytes(kernel) : undefined
    if (hugepageBytes !== undefined && hugepageBytes <= options.bytes) {
      try {
        return SharedMemory.#allocate(kernel, options, hugepageBytes, true)
      } catch {
        // Too few in the pool, or a kernel without: ordinary pages will do.
      }
    }
    return SharedMemory.#allocate(kernel, options, kernel.pageSize, false)
  }

  static #allocate(kernel: Kernel, { name, bytes: wanted }: SharedMemoryOptions, pageBytes: number, hugepages: boolean): SharedMemory {
    const bytes = alignUp(wanted, pageBytes)
    const fd = kernel.memfdCreate(name, MFD_CLOEXEC | (hugepages ? MFD_HUGETLB : 0))
    if (fd < 0) throw callFailed({ subject: name, call: 'memfd_create', errno: fd })
    const descriptor = new Descriptor(kernel, fd)
    try {
      const sized = kernel.ftruncate(fd, bytes)
      if (sized < 0) throw callFailed({ subject: name, call: `ftruncate(${bytes} bytes)`, errno: sized })
      // NB: a hugepage that is missing when it is touched is a SIGBUS, and mmap(2) sees no limit of a cgroup. So they are taken now.
      if (hugepages) allocateAll(kernel, name, fd, bytes)
      return new SharedMemory(descriptor, bytes, pageBytes, hugepages)
    } catch (error) {
      descriptor.close()
      throw error
    }
  }

  close(): void {
    this.descriptor.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function allocateAll(kernel: Kernel, name: string, fd: number, bytes: number): void {
  for (;;) {
    const result = kernel.fallocate(fd, bytes)
    if (result >= 0) return
    // hugetlbfs keeps what it has allocated so far: no signal, however frequent, can hold this up for ever.
    if (result !== -EINTR) throw callFailed({ subject: name, call: `fallocate(${bytes} bytes)`, errno: result })
  }
}

/** The size of the default hugepage, undefined on a kernel without. */
function readHugepageBytes(kernel: Kernel): number | undefined {
  const fd = kernel.open('/proc/meminfo', O_RDONLY | O_CLOEXEC)
  if (fd < 0) return undefined
  using meminfo = new Descriptor(kernel, fd)
  const bytes = new Uint8Array(new ArrayBuffer(16 * 1024))
  const length = kernel.read(meminfo.fd, bytes)
  const line = /^Hugepagesize:\s+(\d+) kB$/m.exec(new TextDecoder().decode(bytes.subarray(0, Math.max(0, length))))
  return line === null ? undefined : Number(line[1]) * 1024
}

/**
 * Runs `inside` with the memory of `fd` mapped at the address that it is given, and unmaps it: for what the kernel takes by address
 * and keeps by its pages. Nobody may look at the address later.
 * @throws CaptureError with the errno of mmap(2), or what `inside` throws.
 */
export function withTemporaryMapping<T>(kernel: Kernel, fd: number, bytes: number, inside: (address: bigint) => T): T {
  const address = kernel.mmap(0n, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd)
  if (address < 0n) throw callFailed({ subject: 'shared memory', call: `mmap(${bytes} bytes)`, errno: Number(address) })
  try {
    return inside(address)
  } finally {
    kernel.munmap(address, bytes)
  }
}
