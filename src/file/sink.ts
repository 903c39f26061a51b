/** Where records go: whole buffers of them, from several threads, one after another. */
import type { Kernel } from '../kernel/system.js'

/** A regular file or pipe that whole buffers of whole records are appended to, by one thread or several. */
export interface SinkShared {
  fd: number
  lock: SharedArrayBuffer
}

const MUTEX = 0
/** Byte offset of a float: how long the file is. */
const LENGTH = 8
const FREE = 0
const HELD = 1
const CONTENDED = 2
const EINTR = 4

export class RecordSink {
  readonly #kernel: Kernel
  readonly #fd: number
  readonly #mutex: Int32Array
  readonly #length: Float64Array

  /** `shared.fd` must have been opened with O_APPEND. */
  constructor(kernel: Kernel, shared: SinkShared) {
    this.#kernel = kernel
    this.#fd = shared.fd
    this.#mutex = new Int32Array(shared.lock, MUTEX, 1)
    this.#length = new Float64Array(shared.lock, LENGTH, 1)
  }

  static lock(): SharedArrayBuffer {
    return new SharedArrayBuffer(16)
  }

  /** Appends bytes[0, length) as a whole, or not at all. Answers 0, or -errno (then the file is as long as before). Blocks. */
  append(bytes: Uint8Array, length: number): number {
    this.#take()
    try {
      let done = 0
      while (done < length) {
        const written = this.#kernel.write(this.#fd, bytes.subarray(done, length))
        if (written >= 0) done += written
        else if (written !== -EINTR) {
          if (done > 0) this.#kernel.ftruncate(this.#fd, this.#length[0] as number)
          return written
        }
      }
      this.#length[0] = (this.#length[0] as number) + length
      return 0
    } finally {
      this.#release()
    }
  }

  #take(): void {
    let state = Atomics.compareExchange(this.#mutex, 0, FREE, HELD)
    while (state !== FREE) {
      if (state === CONTENDED || Atomics.compareExchange(this.#mutex, 0, HELD, CONTENDED) !== FREE) Atomics.wait(this.#mutex, 0, CONTENDED)
      state = Atomics.compareExchange(this.#mutex, 0, FREE, CONTENDED)
    }
  }

  #release(): void {
    if (Atomics.exchange(this.#mutex, 0, FREE) === CONTENDED) Atomics.notify(this.#mutex, 0, 1)
  }
}
