/** A kernel that remembers who opened what: whatever is still open at the end of a test is a leak, with the stack that made it. */
import { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE } from '#src/kernel/abi/process.js'
import type { Kernel } from '#src/kernel/system.js'

export interface Leak {
  /** `descriptor 21 (socket)` or `mapping of 4096 bytes`. */
  readonly what: string
  /** Where it was made. */
  readonly stack: string
}

export interface TracingKernel extends Kernel {
  /** What is open now, oldest first. */
  leaks(): Leak[]
  /** @throws Error that lists each leak with its stack, and each close of what was not open. */
  assertNoLeaks(): void
}

/** Commands of bpf(2) that answer a descriptor: MAP_CREATE, PROG_LOAD, OBJ_GET, RAW_TRACEPOINT_OPEN, BTF_LOAD, LINK_CREATE and the GET_FD_BY_ID family. */
export const BPF_MAKES_DESCRIPTOR: ReadonlySet<number> = new Set([0, 5, 7, 13, 14, 17, 18, 19, 28, 30])

/** Traces `kernel` on this thread; what other threads open or close is not seen. */
export function tracingKernel(kernel: Kernel): TracingKernel {
  const descriptors = new Map<number, Leak>()
  const mappings = new Map<bigint, Leak & { length: number }>()
  const misuse: Leak[] = []

  const trace = (what: string): Leak => {
    const frames = new Error(what).stack?.split('\n').slice(1) ?? []
    return { what, stack: frames.filter((frame) => !frame.includes('tracing-kernel')).join('\n') }
  }
  const opened = (fd: number, call: string): number => {
    if (fd >= 0) descriptors.set(fd, trace(`descriptor ${fd} (${call})`))
    return fd
  }

  return {
    ...kernel,
    socket: (family, type, protocol) => opened(kernel.socket(family, type, protocol), 'socket'),
    open: (path, flags) => opened(kernel.open(path, flags), `open ${path}`),
    eventfd: (initial, flags) => opened(kernel.eventfd(initial, flags), 'eventfd'),
    memfdCreate: (name, flags) => opened(kernel.memfdCreate(name, flags), `memfd ${name}`),
    fsopen: (type, flags) => opened(kernel.fsopen(type, flags), `fsopen ${type}`),
    fsmount: (fd, flags, attributes) => opened(kernel.fsmount(fd, flags, attributes), 'fsmount'),
    bpf(command, attributes) {
      const result = kernel.bpf(command, attributes)
      return BPF_MAKES_DESCRIPTOR.has(command) ? opened(result, `bpf command ${command}`) : result
    },
    close(fd) {
      if (!descriptors.delete(fd)) misuse.push(trace(`close of descriptor ${fd}, which is not open here`))
      return kernel.close(fd)
    },
    mmap(address, length, protection, flags, fd, offset) {
      const result = kernel.mmap(address, length, protection, flags, fd, offset)
      if (result < 0n) return result
      // Pages without reserve are how a mapping ends; see src/kernel/mapping.ts.
      const cover = MAP_ANONYMOUS | MAP_NORESERVE
      if ((flags & cover) === cover) {
        const covered = mappings.get(result)
        if ((flags & MAP_FIXED) !== 0 && covered?.length !== length) misuse.push(trace(`cover of ${length} bytes that are not a mapping`))
        mappings.delete(result)
      } else {
        mappings.set(result, { ...trace(`mapping of ${length} bytes`), length })
      }
      return result
    },
    munmap(address, length) {
      mappings.delete(address)
      return kernel.munmap(address, length)
    },
    leaks: () => [...descriptors.values(), ...[...mappings.values()].map(({ what, stack }) => ({ what, stack }))],
    assertNoLeaks() {
      const found = [
        ...this.leaks().map(({ what, stack }) => `leaked ${what}, made at:\n${stack}`),
        ...misuse.map(({ what, stack }) => `${what}, at:\n${stack}`),
      ]
      if (found.length > 0) throw new Error(found.join('\n'))
    },
  }
}
