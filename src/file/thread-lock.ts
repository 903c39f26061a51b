/**
 * A lock that the threads of one process take in turn, in shared memory. A thread that ends while it holds the lock (a worker that is
 * terminated, or that runs out of memory) does not keep it: the next one finds that there is no such thread, takes the lock over, and
 * is told, so that it can put right what was left half done.
 */
import { existsSync } from 'node:fs'

/** Words of an Int32Array: who holds it (the kernel's id of the thread, 0 for nobody), and how many may be waiting. */
const HOLDER = 0
const WAITING = 1
export const LOCK_WORDS = 2

/** How often a waiting thread looks whether the holder is alive. */
const LIFE_CHECK_MS = 50

export class ThreadLock {
  readonly #words: Int32Array
  readonly #threadId: number

  /** The lock begins at word 0 of `words`; `threadId` is gettid(2) of the calling thread. */
  constructor(words: Int32Array, threadId: number) {
    this.#words = words
    this.#threadId = threadId
  }

  /** Waits for the lock. True when the one that held it has died with it. */
  acquire(): boolean {
    for (;;) {
      const holder = Atomics.compareExchange(this.#words, HOLDER, 0, this.#threadId)
      if (holder === 0) return false
      // The id of a dead thread, given out again, to us.
      if (holder === this.#threadId) return true
      Atomics.add(this.#words, WAITING, 1)
      const woken = Atomics.wait(this.#words, HOLDER, holder, LIFE_CHECK_MS)
      Atomics.sub(this.#words, WAITING, 1)
      if (woken !== 'timed-out' || isAlive(holder, this.#threadId)) continue
      if (Atomics.compareExchange(this.#words, HOLDER, holder, this.#threadId) === holder) return true
    }
  }

  /** Takes the lock if nobody has it, not even a thread that has died. */
  tryAcquire(): boolean {
    return Atomics.compareExchange(this.#words, HOLDER, 0, this.#threadId) === 0
  }

  release(): void {
    Atomics.store(this.#words, HOLDER, 0)
    if (Atomics.load(this.#words, WAITING) > 0) Atomics.notify(this.#words, HOLDER, 1)
  }
}

/** Where /proc does not even know the thread that asks, it is no witness. */
function isAlive(threadId: number, self: number): boolean {
  return existsSync(`/proc/self/task/${threadId}`) || !existsSync(`/proc/self/task/${self}`)
}
