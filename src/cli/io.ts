/** What a command writes to, and what tells it to finish. */
import { onSignal } from './signals.js'

export interface Io {
  /** A line of data, to stdout. */
  out(line: string): void
  /** Stdout is for something else: what `out` is given goes to stderr from now on. */
  reserveStdout(): void
  /**
   * The first `length` bytes, to stdout: for those who print much. Undefined when they are written; else they must stay as they are until the
   * promise resolves.
   */
  write(bytes: Uint8Array, length: number): Promise<void> | undefined
  /** A line for the person at the terminal, to stderr. */
  err(line: string): void
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP, and when nobody reads stdout any more. A command then finishes and prints its summary. */
  readonly signal: AbortSignal
  /** stdout is a terminal. */
  readonly isTerminal: boolean
  /** Width and height of that terminal now, 80 by 24 without one and where it does not tell. */
  readonly columns: number
  readonly rows: number
  /** What stands above the cursor is going to be erased by counting its lines up from there: a ^C that the terminal shows stays on the cursor's line. */
  holdCursor(isHeld: boolean): void
}

export interface ProcessIo extends Io {
  /** Why stdout could not be written to; a reader that went away (EPIPE) is no failure. */
  readonly failure: Error | undefined
  /** Resolves when all that was written has been handed to the kernel, or has failed. */
  flush(): Promise<void>
}

/** The process's own streams and signals. */
export function processIo(): ProcessIo {
  const controller = new AbortController()
  let isClosed = false
  let isReserved = false
  let isCursorHeld = false
  let failure: Error | undefined

  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    isClosed = true
    if (error.code !== 'EPIPE') failure ??= error
    controller.abort()
  })
  process.stderr.on('error', () => {})

  // A terminal that goes away sends SIGHUP, and its shell does so again: that is no second word, nor is what comes after it.
  let isHungUp = false
  onSignal('SIGHUP', () => {
    if (!controller.signal.aborted) isHungUp = true
    controller.abort()
  })
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    onSignal(name, () => {
      if (controller.signal.aborted && !isHungUp) exitAtOnce(name)
      isHungUp = false
      // The terminal has just shown ^C, and the cursor stands behind it.
      if (name === 'SIGINT' && process.stderr.isTTY && !isCursorHeld) process.stderr.write('\n')
      controller.abort()
    })
  }

  return {
    out(line) {
      if (isReserved) process.stderr.write(`${line}\n`)
      else if (!isClosed) process.stdout.write(`${line}\n`)
    },
    reserveStdout() {
      isReserved = true
    },
    write(bytes, length) {
      if (isClosed || length === 0) return undefined
      const { stdout } = process
      stdout.write(length === bytes.length ? bytes : bytes.subarray(0, length))
      // Files and pipes are written at once.
      if (stdout.writableLength === 0) return undefined
      return new Promise((resolve) => {
        if (isClosed) resolve()
        else stdout.write('', () => resolve())
      })
    },
    err(line) {
      process.stderr.write(`${line}\n`)
    },
    signal: controller.signal,
    isTerminal: process.stdout.isTTY === true,
    // A serial console is of 0 by 0.
    get columns() {
      return process.stdout.columns || 80
    },
    get rows() {
      return process.stdout.rows || 24
    },
    holdCursor(isHeld) {
      isCursorHeld = isHeld
    },
    get failure() {
      return failure
    },
    flush() {
      return new Promise((resolve) => {
        if (isClosed || isReserved) resolve()
        else process.stdout.write('', () => setImmediate(resolve))
      })
    },
  }
}

/**
 * NB: process.exit() joins the worker threads, and one that sits in a system call keeps it waiting. Dying of the signal does not
 * wait, and a shell reports it as 130. Process 1 of a container does not die of it, hence the second line.
 */
function exitAtOnce(name: 'SIGINT' | 'SIGTERM'): void {
  process.removeAllListeners(name)
  process.kill(process.pid, name)
  process.exit(130)
}
