/** What has been opened so far: kept until it is closed all at once, in the opposite order, so that a failure at any step can be undone. */
export class Opened {
  readonly #all: { close(): void }[] = []

  keep<T extends { close(): void }>(it: T): T {
    this.#all.push(it)
    return it
  }

  /** Idempotent. */
  close(): void {
    for (const it of this.#all.splice(0).reverse()) it.close()
  }
}
