/**
 * A kernel that does what a test says: every call is recorded in order and can be given an answer, or be made to fail. Memory is
 * real (anonymous pages in place of a ring), so that mappings and views of them work. Descriptors are numbers from 1000 on.
 */
import { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE } from '#src/kernel/abi/process.js'
import { EAGAIN } from '#src/kernel/errno.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { BPF_MAKES_DESCRIPTOR } from './tracing-kernel.js'

export type CallName = Exclude<keyof Kernel, 'pageSize'>

export interface RecordedCall {
  readonly name: CallName
  /** As they were when the call was made: bytes are copied. */
  readonly arguments: readonly unknown[]
  readonly result: unknown
}

export interface FakeKernel extends Kernel {
  readonly calls: readonly RecordedCall[]
  /** Names of the recorded calls, in order. */
  names(): CallName[]
  /** Takes `answer` for every later call of this name, in place of the default. It may fill the buffers that it is given. */
  answer<Name extends CallName>(name: Name, answer: Kernel[Name]): void
  /** Lets the n-th later call of this name (1 is the next) fail with this positive errno. */
  fail(name: CallName, errno: number, nth?: number): void
  /** Lets the n-th later call fail, whatever its name, not counting those that cannot usefully fail. Sweep n to fail each step of a sequence. */
  failNth(n: number, errno: number): void
  /** True once a failure ordered with `fail` or `failNth` has happened. */
  readonly failed: boolean
  /** Descriptors that were given out and not closed. */
  readonly openDescriptors: readonly number[]
}

const CANNOT_FAIL: ReadonlySet<CallName> = new Set<CallName>(['close', 'munmap', 'view', 'addressOf', 'gettid'])

type AnyCall = (...values: never[]) => unknown

export function fakeKernel(): FakeKernel {
  const real = openKernel()
  const calls: RecordedCall[] = []
  const descriptors = new Set<number>()
  let nextDescriptor = 1000
  const give = () => {
    descriptors.add(nextDescriptor)
    return nextDescriptor++
  }

  // What is not here answers 0, so that a new call in Kernel needs nothing from this file.
  const defaults: Partial<Kernel> = {
    socket: give,
    open: give,
    eventfd: give,
    memfdCreate: give,
    fsopen: give,
    fsmount: give,
    close: (fd) => (descriptors.delete(fd) ? 0 : -9),
    read: () => -EAGAIN,
    recv: () => -EAGAIN,
    recvmmsg: () => -EAGAIN,
    bpf: (command) => (BPF_MAKES_DESCRIPTOR.has(command) ? give() : 0),
    write: (_fd, from) => from.byteLength,
    sendto: (_fd, bytes) => bytes.byteLength,
    sendmmsg: (_fd, _vector, count) => count,
    getsockopt(_fd, _level, _option, value) {
      value.fill(0)
      return value.byteLength
    },
    mmap: (address, length, protection, flags) => real.mmap(address, length, protection, (flags & MAP_FIXED) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1),
    munmap: real.munmap,
    view: real.view,
    addressOf: real.addressOf,
    schedGetaffinity(mask) {
      mask.fill(0)
      mask[0] = 0b11
      return 8
    },
    gettid: () => 4242,
  }

  const answers = new Map<CallName, AnyCall>(Object.entries(defaults) as [CallName, AnyCall][])
  const failures: { name: CallName | undefined; left: number; errno: number }[] = []
  let failed = false

  const orderedFailure = (name: CallName): number => {
    for (const [index, failure] of failures.entries()) {
      if (failure.name === undefined ? CANNOT_FAIL.has(name) : failure.name !== name) continue
      failure.left--
      if (failure.left > 0) continue
      failures.splice(index, 1)
      failed = true
      return -failure.errno
    }
    return 0
  }

  const faked: Record<string, (...values: unknown[]) => unknown> = {}
  for (const name of Object.keys(real).filter((key) => key !== 'pageSize') as CallName[]) {
    faked[name] = (...values) => {
      const copies = values.map((value) => (value instanceof Uint8Array ? value.slice() : value))
      const failure = orderedFailure(name)
      const answer = answers.get(name) as ((...values: unknown[]) => unknown) | undefined
      const result = failure === 0 ? (answer === undefined ? 0 : answer(...values)) : name === 'mmap' ? BigInt(failure) : failure
      calls.push({ name, arguments: copies, result })
      return result
    }
  }

  return {
    ...(faked as unknown as Kernel),
    pageSize: real.pageSize,
    calls,
    names: () => calls.map((call) => call.name),
    answer(name, answer) {
      answers.set(name, answer as AnyCall)
    },
    fail(name, errno, nth = 1) {
      failures.push({ name, left: nth, errno })
    },
    failNth(n, errno) {
      failures.push({ name: undefined, left: n, errno })
    },
    get failed() {
      return failed
    },
    get openDescriptors() {
      return [...descriptors]
    },
  }
}
