/**
 * What a worker thread of the program has open does not end with that thread: descriptors are the process's. It is closed as the thread
 * ends by itself, by process.exit() or an error; terminate() tells nobody.
 */
import { isMainThread } from 'node:worker_threads'

const open = new Set<() => void>()

/** Calls `close` as this thread ends, until what it answers is called. NB: the event loop has ended by then. */
export function atThreadEnd(close: () => void): () => void {
  if (isMainThread) return () => {}
  // One listener for all: Node.js warns of more than ten.
  if (open.size === 0) process.on('exit', closeAll)
  open.add(close)
  return () => {
    if (open.delete(close) && open.size === 0) process.off('exit', closeAll)
  }
}

function closeAll(): void {
  for (const close of open) {
    try {
      close()
    } catch {
      // The thread ends; the others are to be closed all the same.
    }
  }
}
