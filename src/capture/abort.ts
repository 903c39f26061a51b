/** What happens when a signal is aborted. Node.js warns of more than ten listeners: however many captures have one signal, it has one listener. */
interface Shared {
  acts: Set<() => void>
  listener: () => void
}

const sharedBySignal = new WeakMap<AbortSignal, Shared>()

/** Calls `act` when the signal is aborted, at once if it is already, until what it answers is called. */
export function onAbort(signal: AbortSignal | undefined, act: () => void): () => void {
  if (signal === undefined) return () => {}
  if (signal.aborted) {
    act()
    return () => {}
  }
  const shared = sharedBySignal.get(signal) ?? share(signal)
  // One of its own, so that the same function may be there twice.
  const own = () => act()
  shared.acts.add(own)
  return () => {
    shared.acts.delete(own)
    if (shared.acts.size > 0 || sharedBySignal.get(signal) !== shared) return
    signal.removeEventListener('abort', shared.listener)
    sharedBySignal.delete(signal)
  }
}

function share(signal: AbortSignal): Shared {
  const acts = new Set<() => void>()
  const listener = () => {
    for (const act of acts) act()
  }
  const shared = { acts, listener }
  signal.addEventListener('abort', listener, { once: true })
  sharedBySignal.set(signal, shared)
  return shared
}

/** Resolves and rejects as the promise does, or rejects with the signal's reason as soon as it is aborted. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const unlisten = onAbort(signal, () => reject(signal.reason))
    promise.then(resolve, reject).finally(() => unlisten())
  })
}
