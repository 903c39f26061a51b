/** The calling thread: where it runs, what it is called, what it has used. */
import { PR_SET_NAME, RUSAGE, RUSAGE_THREAD } from './abi/process.js'
import { callFailed } from './errno.js'
import type { Kernel } from './system.js'

/** CPU_SETSIZE of glibc, in bytes. */
const MASK_BYTES = 128

/**
 * Lets the calling thread run on these CPUs only; sched_setaffinity(2).
 * @throws CaptureError EINVAL when none of them is online or allowed by the cpuset.
 */
export function pinThread(kernel: Kernel, cpus: readonly number[]): void {
  const mask = new Uint8Array(MASK_BYTES)
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] as number) | (1 << (cpu & 7))
  const result = kernel.schedSetaffinity(mask)
  if (result < 0) {
    const hint = `allowed CPUs: ${allowedCpus(kernel).join(',')}`
    throw callFailed({ subject: 'thread', call: `sched_setaffinity(${cpus.join(',')})`, errno: result, hint, code: 'INVALID_OPTION' })
  }
}

/** The CPUs that the calling thread may run on, ascending. */
export function allowedCpus(kernel: Kernel): number[] {
  const mask = new Uint8Array(MASK_BYTES)
  const result = kernel.schedGetaffinity(mask)
  if (result < 0) throw callFailed({ subject: 'thread', call: 'sched_getaffinity', errno: result })
  const cpus: number[] = []
  for (let cpu = 0; cpu < MASK_BYTES * 8; cpu++) if (((mask[cpu >> 3] as number) >> (cpu & 7)) & 1) cpus.push(cpu)
  return cpus
}

/** Names the calling thread as ps -L and perf show it; cut to 15 bytes. */
export function nameThread(kernel: Kernel, name: string): void {
  const bytes = new Uint8Array(16)
  new TextEncoder().encodeInto(name, bytes.subarray(0, 15))
  kernel.prctl(PR_SET_NAME, bytes)
}

const NEVER = new Int32Array(new SharedArrayBuffer(4))

/** Holds the calling thread up, event loop and all. */
export function sleepThread(milliseconds: number): void {
  Atomics.wait(NEVER, 0, 0, milliseconds)
}

export interface CpuTime {
  userMs: number
  systemMs: number
}

/** CPU time of the calling thread; getrusage(RUSAGE_THREAD). */
export function threadCpuTime(kernel: Kernel): CpuTime {
  const usage = new Uint8Array(RUSAGE.sizeof)
  const result = kernel.getrusage(RUSAGE_THREAD, usage)
  if (result < 0) throw callFailed({ subject: 'thread', call: 'getrusage(RUSAGE_THREAD)', errno: result })
  const words = new BigInt64Array(usage.buffer)
  const milliseconds = (at: number) => Number(words[at]) * 1000 + Number(words[at + 1]) / 1000
  return { userMs: milliseconds(RUSAGE.ru_utime / 8), systemMs: milliseconds(RUSAGE.ru_stime / 8) }
}
