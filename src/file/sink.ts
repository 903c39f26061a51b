/**
 * Where whole buffers of whole records go, from one thread or several: a regular file, or a series of them, or a pipe.
 *
 * Threads append in turn (ThreadLock). What a write(2) leaves half done, for a full disk or a limit, is completed or cut away again
 * before the lock is released, so a regular file always ends in a whole record while no append is under way; a thread that dies
 * inside one is put right by the next. Where to cut when the whole process is killed inside one is the guard's to know: it is told
 * the length after each append, by eight bytes written to shared memory (pwrite(2) of a memfd).
 *
 * When the next file is due the appending thread itself takes one that the main thread has made ready (open-sink.ts) and goes on
 * there, so that nobody waits for anybody. If none is ready yet the main thread is asked for one and the old one is written on.
 *
 * Cost of an append beside write(2) itself: 0.4 us, with a guard 2 us (bench/file-write.ts).
 */
import { alignUp } from '../bytes/align.js'
import { POLLFD, POLLOUT, SEEK_SET } from '../kernel/abi/process.js'
import { EAGAIN, ECANCELED, EINTR, EIO, EPIPE } from '../kernel/errno.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import type { RotationReason } from './rotation.js'
import { LOCK_WORDS, ThreadLock } from './thread-lock.js'

/** What a worker needs to append: structured clone passes it, in workerData too. */
export interface SinkShared {
  /** Of the first file. Others follow it when files are rotated; the lock knows which. */
  readonly fd: number
  readonly lock: SharedArrayBuffer
}

/** Int32 words of the lock; the ThreadLock comes first. */
export const WORD = {
  state: LOCK_WORDS,
  /** 1 while an append is under way: when the lock is free or its holder dead, one that was not ended. */
  isWriting: LOCK_WORDS + 1,
  /** Not 0: who waits for room in a pipe gives up. The one word that is set without the lock. */
  isCancelled: LOCK_WORDS + 2,
  fd: LOCK_WORDS + 3,
  isRegular: LOCK_WORDS + 4,
  /** Shared memory of the guard, -1 for none; and which of its lengths is that of the file. */
  guardFd: LOCK_WORDS + 5,
  guardSlot: LOCK_WORDS + 6,
  /** Counts how often the main thread was told that there is something to do for it; it sleeps on it. */
  generation: LOCK_WORDS + 7,
  /** Not 0: no file follows this one when its time is over. */
  isLast: LOCK_WORDS + 8,
  /** How many files have been made ready to follow, and how many of them were taken. Each has a place in the words and amounts from here on. */
  ready: LOCK_WORDS + 9,
  taken: LOCK_WORDS + 10,
  nextFd: LOCK_WORDS + 11,
  nextGuardSlot: LOCK_WORDS + 11 + 8,
  /** Why the file before it was left: a place in REASONS. */
  leftFor: LOCK_WORDS + 11 + 16,
  /** Not 0: the next file was due and none was ready; one more than the place in REASONS of why. */
  asked: LOCK_WORDS + 11 + 24,
} as const

/** As many files can be ready to follow, or taken and not yet dealt with by the main thread. */
export const PLACES = 8

const INT32_WORDS = alignUp(LOCK_WORDS + 12 + 3 * PLACES, 2)

/** Float64 words behind them. Bytes are exact to 2^53; times are milliseconds since 1970. */
export const AMOUNT = {
  /** Length of the file in whole appends; of a pipe, what went through. */
  size: 0,
  /** Length of the file with nothing but its header. */
  headerBytes: 1,
  /** The main thread is told when the file has become so long. */
  tellAt: 2,
  /** A file with a record in it is left before it would become longer than this; Infinity for never. */
  sizeLimit: 4,
  /** The file is left when the clock shows this; Infinity for never. */
  timeLimit: 5,
  /** How long each following file takes. */
  interval: 6,
  /** When the current one began. */
  began: 7,
  /** What write(2) took, of appends under way too: it moves as long as the reader of a pipe reads. */
  taken: 8,
  /** Packets in the file, as far as those who append say. */
  packets: 3,
  /** Of each place: of the file that is ready, and of the one that was left for it. */
  nextHeaderBytes: 9,
  leftBytes: 9 + 8,
  leftPackets: 9 + 16,
} as const

const FLOAT64_WORDS = 9 + 3 * PLACES

/** While no file is ready to follow the current one goes on by so much at a time. */
const GO_ON_BYTES = 2 ** 16

export const REASONS = ['size', 'time'] as const satisfies readonly RotationReason[]

export const STATE = {
  open: 0,
  /** As many files as were ordered are written. */
  full: 1,
  /** Part of a record is in a pipe, or could not be cut away from a file: nothing may follow it. */
  broken: 2,
  closed: 3,
} as const

const POLL_MS = 100

/** The words of the lock, for whoever has the buffer. */
export function wordsOf(lock: SharedArrayBuffer): { words: Int32Array<SharedArrayBuffer>; amounts: Float64Array<SharedArrayBuffer> } {
  return { words: new Int32Array(lock, 0, INT32_WORDS), amounts: new Float64Array(lock, INT32_WORDS * 4, FLOAT64_WORDS) }
}

export interface FirstFile {
  fd: number
  isRegular: boolean
  /** Its length so far. */
  size: number
}

export function createSinkShared({ fd, isRegular, size }: FirstFile): SinkShared {
  const lock = new SharedArrayBuffer(INT32_WORDS * 4 + FLOAT64_WORDS * 8)
  const { words, amounts } = wordsOf(lock)
  words[WORD.fd] = fd
  words[WORD.isRegular] = Number(isRegular)
  words[WORD.guardFd] = -1
  amounts[AMOUNT.tellAt] = Number.POSITIVE_INFINITY
  amounts[AMOUNT.size] = size
  amounts[AMOUNT.headerBytes] = size
  amounts[AMOUNT.sizeLimit] = Number.POSITIVE_INFINITY
  amounts[AMOUNT.timeLimit] = Number.POSITIVE_INFINITY
  return { fd, lock }
}

/** Takes whole records from the front of others: as many bytes of bytes[from, to) as `room` has for them, of the first in any case if `atLeastOne`. */
export interface RecordSplit {
  take(bytes: Uint8Array, from: number, to: number, room: number, atLeastOne: boolean): number
  /** How many records that were. */
  packets: number
}

/** A regular file or pipe that whole buffers of whole records are appended to, by one thread or several. */
export class RecordSink {
  readonly #kernel: Kernel
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #amounts: Float64Array<SharedArrayBuffer>
  readonly #lock: ThreadLock
  readonly #pollfd = new Uint8Array(POLLFD.sizeof)
  readonly #committed = new Float64Array(1)
  readonly #committedBytes = new Uint8Array(this.#committed.buffer)
  readonly #split: RecordSplit | undefined

  /** Bytes of the last append that stand there though it failed: in a pipe when it was cancelled or its reader went away, in the file before when it was split. */
  partBytes = 0

  /** Made in the thread that appends; without a kernel it opens its own. Without a split only whole buffers are told apart. */
  constructor(kernel: Kernel | undefined, shared: SinkShared, split?: RecordSplit) {
    this.#split = split
    this.#kernel = kernel ?? openKernel()
    const { words, amounts } = wordsOf(shared.lock)
    this.#words = words
    this.#amounts = amounts
    this.#lock = new ThreadLock(words, this.#kernel.gettid())
  }

  /** Length of the current file in bytes; of a pipe, what went through. */
  get size(): number {
    return this.#amounts[AMOUNT.size] as number
  }

  /**
   * Appends bytes[0, length), in which there are so many packets, as a whole or not at all; but that with a split whole records of it may
   * stand in the file that was full, and the rest in the next. Blocks: for the other threads, for the disk, for the reader of a pipe.
   *
   * Answers 0, or -errno: then a file is as long as before, `partBytes` apart, and a later append may succeed. -ECANCELED is no failure: as
   * many files as were ordered are written, or the sink is closed. -EIO comes back for good when half a record could not be undone: of a pipe
   * whose reader stays, or a file that cannot be cut.
   */
  append(bytes: Uint8Array, length: number, packets = 0): number {
    this.partBytes = 0
    if (length === 0) return 0
    this.#enter()
    try {
      let done = 0
      for (let left = packets; ; ) {
        const piece = this.#piece(bytes, done, length, Date.now())
        const isRest = piece === length - done
        const state = this.#words[WORD.state]
        if (state !== STATE.open) {
          this.partBytes = done
          return state === STATE.broken ? -EIO : -ECANCELED
        }
        const result = this.#write(bytes, done, done + piece)
        if (result !== 0) {
          this.partBytes += done
          return result
        }
        const appended = isRest ? left : (this.#split as RecordSplit).packets
        this.#amounts[AMOUNT.packets] = (this.#amounts[AMOUNT.packets] as number) + appended
        if (isRest) return 0
        left -= appended
        done += piece
      }
    } finally {
      this.#lock.release()
    }
  }

  /** Adds to the file, whose time is over, its last blocks: as `append`, but it is still there when the sink takes no more. */
  appendLast(bytes: Uint8Array): number {
    this.#enter()
    try {
      if (this.#words[WORD.state] === STATE.broken) return -EIO
      return bytes.byteLength === 0 ? 0 : this.#write(bytes, 0, bytes.byteLength)
    } finally {
      this.#lock.release()
    }
  }

  /** Goes on in the file that is ready to follow. False when none is, or when the current one has nothing but its header. */
  rotate(reason: RotationReason): boolean {
    this.#enter()
    try {
      return this.#words[WORD.state] === STATE.open && this.#hasRecords() && this.#swap(reason, 0)
    } finally {
      this.#lock.release()
    }
  }

  /** Leaves a file whose time is over, though no record comes that would. */
  rotateIfTimeIsOver(): void {
    if (!this.#isTimeOver(Date.now())) return
    this.#enter()
    try {
      if (this.#isTimeOver(Date.now())) this.#leaveByTime(0)
    } finally {
      this.#lock.release()
    }
  }

  /** Runs `inside` while nobody appends. */
  exclusively<T>(inside: () => T): T {
    this.#enter()
    try {
      return inside()
    } finally {
      this.#lock.release()
    }
  }

  #enter(): void {
    if (!this.#lock.acquire()) return
    if (this.#words[WORD.isWriting] !== 0) this.#undo(Number.NaN)
  }

  #hasRecords(): boolean {
    return this.size > (this.#amounts[AMOUNT.headerBytes] as number)
  }

  /** How much of bytes[from, to) goes into the file that is the current one then. */
  #piece(bytes: Uint8Array, from: number, to: number, now: number): number {
    if (this.#amounts[AMOUNT.began] === 0) this.#begin(now)
    if (this.#isTimeOver(now)) this.#leaveByTime(now)
    const rest = to - from
    const limit = this.#amounts[AMOUNT.sizeLimit] as number
    if (this.size + rest <= limit || this.#words[WORD.state] !== STATE.open) return rest
    const split = this.#split
    if (split === undefined) {
      if (this.#hasRecords()) this.#swapOrAsk('size', now)
      return rest
    }
    const fits = split.take(bytes, from, to, limit - this.size, false)
    if (fits > 0) return fits
    if (!this.#hasRecords()) return split.take(bytes, from, to, 0, true)
    if (!this.#swapOrAsk('size', now)) return split.take(bytes, from, to, GO_ON_BYTES, true)
    return this.size + rest <= limit ? rest : split.take(bytes, from, to, limit - this.size, true)
  }

  #isTimeOver(now: number): boolean {
    return now >= (this.#amounts[AMOUNT.timeLimit] as number) && this.#hasRecords() && this.#words[WORD.state] === STATE.open
  }

  #leaveByTime(now: number): void {
    if (this.#words[WORD.isLast] === 0) this.#swapOrAsk('time', now)
    else {
      this.#words[WORD.state] = STATE.full
      this.#tellMain()
    }
  }

  #begin(now: number): void {
    this.#amounts[AMOUNT.began] = now
    this.#amounts[AMOUNT.timeLimit] = now + (this.#amounts[AMOUNT.interval] as number)
  }

  #swapOrAsk(reason: RotationReason, now: number): boolean {
    if (this.#swap(reason, now)) return true
    if (this.#words[WORD.asked] !== 0) return false
    Atomics.store(this.#words, WORD.asked, 1 + REASONS.indexOf(reason))
    this.#tellMain()
    return false
  }

  /** `now` 0: the time of the next file begins with its first record. */
  #swap(reason: RotationReason, now: number): boolean {
    const words = this.#words
    const amounts = this.#amounts
    const taken = words[WORD.taken] as number
    if (Atomics.load(words, WORD.ready) === taken) return false
    const place = taken % PLACES
    const leftBytes = this.size
    const leftFor = REASONS.indexOf(reason)
    const began = reason === 'time' ? now : (amounts[AMOUNT.began] as number)
    const interval = amounts[AMOUNT.interval] as number
    const headerBytes = amounts[AMOUNT.nextHeaderBytes + place] as number
    // From here to the end of the stores no call is made in which this thread could be terminated.
    words[WORD.leftFor + place] = leftFor
    words[WORD.asked] = 0
    words[WORD.fd] = words[WORD.nextFd + place] as number
    words[WORD.guardSlot] = words[WORD.nextGuardSlot + place] as number
    amounts[AMOUNT.leftBytes + place] = leftBytes
    amounts[AMOUNT.leftPackets + place] = amounts[AMOUNT.packets] as number
    amounts[AMOUNT.packets] = 0
    amounts[AMOUNT.size] = headerBytes
    amounts[AMOUNT.headerBytes] = headerBytes
    amounts[AMOUNT.tellAt] = Number.POSITIVE_INFINITY
    amounts[AMOUNT.began] = began
    amounts[AMOUNT.timeLimit] = began + interval
    Atomics.store(words, WORD.taken, taken + 1)
    this.#tellMain()
    return true
  }

  #tellMain(): void {
    Atomics.add(this.#words, WORD.generation, 1)
    Atomics.notify(this.#words, WORD.generation)
  }

  #write(bytes: Uint8Array, from: number, to: number): number {
    const words = this.#words
    const length = to - from
    words[WORD.isWriting] = 1
    let written = 0
    let failed = 0
    while (written < length && failed === 0) {
      const isWhole = written === 0 && length === bytes.byteLength
      const result = this.#kernel.write(words[WORD.fd] as number, isWhole ? bytes : bytes.subarray(from + written, to))
      if (result > 0) {
        written += result
        this.#amounts[AMOUNT.taken] = (this.#amounts[AMOUNT.taken] as number) + result
      } else if (result === -EAGAIN) failed = this.#awaitRoom(words[WORD.fd] as number)
      else if (result !== -EINTR) failed = result === 0 ? -EIO : result
    }
    if (failed !== 0) {
      // Of a pipe whose reader goes away what it took went through, but for what it had not read yet: nobody knows how much that was.
      if ((failed === -ECANCELED || failed === -EPIPE) && words[WORD.isRegular] === 0) this.partBytes = written
      this.#undo(written)
      return failed
    }
    // NB: the length is told before the append is over, so that whoever takes over from here cuts nothing away that is whole.
    this.#amounts[AMOUNT.size] = this.size + length
    words[WORD.isWriting] = 0
    this.#commit()
    if (this.size >= (this.#amounts[AMOUNT.tellAt] as number)) {
      this.#amounts[AMOUNT.tellAt] = Number.POSITIVE_INFINITY
      this.#tellMain()
    }
    return 0
  }

  /** Waits until a pipe has room. */
  #awaitRoom(fd: number): number {
    const view = new DataView(this.#pollfd.buffer)
    for (;;) {
      view.setInt32(POLLFD.fd, fd, true)
      view.setInt16(POLLFD.events, POLLOUT, true)
      const ready = this.#kernel.poll(this.#pollfd, 1, POLL_MS)
      if (ready > 0) return 0
      if (ready < 0 && ready !== -EINTR) return ready
      if (Atomics.load(this.#words, WORD.isCancelled) !== 0) return -ECANCELED
    }
  }

  /** Cuts away `written` bytes, NaN for nobody knows how many, of an append that was not ended. What went into a pipe stays there. */
  #undo(written: number): void {
    const words = this.#words
    if (words[WORD.isRegular] === 0) {
      if (written !== 0) words[WORD.state] = STATE.broken
    } else {
      const fd = words[WORD.fd] as number
      const isCut = this.#kernel.ftruncate(fd, this.size) >= 0 && this.#kernel.lseek(fd, this.size, SEEK_SET) >= 0
      if (!isCut) words[WORD.state] = STATE.broken
    }
    words[WORD.isWriting] = 0
  }

  /** Tells the guard. The eight bytes are in one page: written whole or not at all. */
  #commit(): void {
    const guardFd = this.#words[WORD.guardFd] as number
    if (guardFd < 0) return
    this.#committed[0] = this.size
    this.#kernel.pwrite(guardFd, this.#committedBytes, (this.#words[WORD.guardSlot] as number) * 8)
  }
}
