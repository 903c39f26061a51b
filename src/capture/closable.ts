/** Async iterators that may be left while a `next()` waits. */

/** An iterator that ends what it stands for when it is left; `return` and dispose do so at once, also while a `next()` waits. */
export interface ClosableIterator<T> extends AsyncIterableIterator<T, undefined>, AsyncDisposable {
  /** Closes; a `next()` that waits resolves to `done`. Idempotent. Rejects with the error of the capture, if nobody was told. */
  return(): Promise<IteratorReturnResult<undefined>>
  [Symbol.asyncIterator](): ClosableIterator<T>
}

/** Shared by an iterator and its generator. */
export interface Closing {
  isClosed: boolean
  /** Has the generator look at `isClosed`, whatever it waits for. */
  wake: () => void
}

/**
 * The iterator of a generator. NB: a generator's own `return` waits in line behind its `next`, so the generator must be woken, and
 * return when it sees `isClosed`.
 */
export function closable<T>(iterate: (closing: Closing) => AsyncGenerator<T, undefined, undefined>): ClosableIterator<T> {
  const closing: Closing = { isClosed: false, wake: () => {} }
  const generator = iterate(closing)
  const iterator: ClosableIterator<T> = {
    next: () => generator.next(),
    async return() {
      closing.isClosed = true
      closing.wake()
      await generator.return(undefined)
      return { value: undefined, done: true }
    },
    [Symbol.asyncIterator]: () => iterator,
    async [Symbol.asyncDispose]() {
      await iterator.return()
    },
  }
  return iterator
}
