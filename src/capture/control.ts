/**
 * How the main thread speaks to a worker that is busy in its loop: words in shared memory that the loop looks at between
 * blocks, and an eventfd in its poll set for when it waits.
 */

const COMMAND = 0
const SNAPSHOT_ASKED = 1
const SETTLED = 2
const BLOCK_IN_HAND = 3
const COUNTED_OF_BLOCK = 4
const ORDERED = 5
const WORDS = 6

/** Values of the command word; a higher one overrides. */
export const RUN = 0
/** End: deliver what is there, for a bounded time. */
export const STOP = 1
/** End at once: someone else's error or the count is reached. */
export const ABANDON = 2

export function controlMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * WORDS * 4)
}

export class Control {
  readonly #words: Int32Array

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.#words = new Int32Array(memory, worker * WORDS * 4, WORDS)
  }

  command(): number {
    return Atomics.load(this.#words, COMMAND)
  }
  send(command: number): void {
    if (command > Atomics.load(this.#words, COMMAND)) Atomics.store(this.#words, COMMAND, command)
  }
  /** Counts the snapshots that were asked for. */
  askSnapshot(): number {
    return Atomics.add(this.#words, SNAPSHOT_ASKED, 1) + 1
  }
  snapshotsAsked(): number {
    return Atomics.load(this.#words, SNAPSHOT_ASKED)
  }
  /** Counts the orders to a time machine; the message with the order is sent before. */
  order(): void {
    Atomics.add(this.#words, ORDERED, 1)
  }
  orders(): number {
    return Atomics.load(this.#words, ORDERED)
  }
  /** Said by the worker when its account is settled. It closes a packet socket right after: the number may be another file's at once. */
  markSettled(): void {
    Atomics.store(this.#words, SETTLED, 1)
  }
  /** What a block that has been given to the handler and not been released takes up of the source, 0 without one: a worker that takes over must pass it by. */
  markBlockInHand(inHand: number): void {
    Atomics.store(this.#words, BLOCK_IN_HAND, inHand)
  }
  blockInHand(): number {
    return Atomics.load(this.#words, BLOCK_IN_HAND)
  }
  /** Packets of the block in hand that stand in the counters; 0 of a worker that died too soon to say so. */
  markCountedOfBlock(packets: number): void {
    Atomics.store(this.#words, COUNTED_OF_BLOCK, packets)
  }
  countedOfBlock(): number {
    return Atomics.load(this.#words, COUNTED_OF_BLOCK)
  }
  settled(): boolean {
    return Atomics.load(this.#words, SETTLED) !== 0
  }
}

/** Packets that all workers together may still deliver; 64 bits, claimed a block at a time. */
export class Budget {
  readonly #left: BigInt64Array

  constructor(memory: SharedArrayBuffer) {
    this.#left = new BigInt64Array(memory)
  }
  static memory(packets: number): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(8)
    new BigInt64Array(memory)[0] = BigInt(packets)
    return memory
  }
  /** How many of `wanted` packets may be delivered. */
  claim(wanted: number): number {
    const before = Atomics.sub(this.#left, 0, BigInt(wanted))
    return before <= 0n ? 0 : Math.min(wanted, Number(before))
  }
  exhausted(): boolean {
    return Atomics.load(this.#left, 0) <= 0n
  }
}
