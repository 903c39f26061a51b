/** File descriptors that close once, always. */
import type { Kernel } from './system.js'

/** An open file descriptor. `close` is idempotent; after it `fd` is -1, so that a late use fails instead of hitting another file. */
export class Descriptor {
  readonly #kernel: Kernel
  #fd: number

  constructor(kernel: Kernel, fd: number) {
    this.#kernel = kernel
    this.#fd = fd
  }

  get fd(): number {
    return this.#fd
  }

  /** Someone else has closed it. */
  forget(): void {
    this.#fd = -1
  }

  close(): void {
    if (this.#fd < 0) return
    const fd = this.#fd
    this.#fd = -1
    // NB: Linux frees the number even when close(2) answers EINTR or EIO; a second close would hit someone else's file.
    this.#kernel.close(fd)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
