/** `-z COMMAND`: a program that is run for each finished file, with the file's name as its one argument and without a shell. */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants, setPriority } from 'node:os'

export interface PostCommandsParts {
  command: string
  /** So many run at the same time, the others wait. */
  atOnce: number
  onStart?: (path: string) => void
  onFailed: (path: string, reason: string) => void
  /** For each that was begun, whatever it ended with. */
  onEnd?: (path: string) => void
}

export class PostCommands {
  readonly #parts: PostCommandsParts
  /** A name that comes again waits once: it is the last file of that name that is there. */
  readonly #waiting = new Set<string>()
  readonly #running = new Map<string, ChildProcess | undefined>()
  #idle: (() => void)[] = []

  constructor(parts: PostCommandsParts) {
    this.#parts = parts
  }

  /** Runs it for this file, now or when there is a place. */
  run(path: string): void {
    this.#waiting.delete(path)
    this.#waiting.add(path)
    this.#next()
  }

  /** The file is there no more. */
  forget(path: string): void {
    this.#waiting.delete(path)
  }

  isRunning(path: string): boolean {
    return this.#running.has(path)
  }

  /** How many have not ended, or not begun. */
  get left(): number {
    return this.#waiting.size + this.#running.size
  }

  /** When all have ended. */
  finished(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Nobody waits for them any more: those that run go on, alone, and the others are not begun. Answers how many those are. */
  leave(): number {
    const { size } = this.#waiting
    this.#waiting.clear()
    for (const child of this.#running.values()) child?.unref()
    for (const resolve of this.#idle.splice(0)) resolve()
    return size
  }

  #next(): void {
    for (const path of this.#waiting) {
      if (this.#running.size >= this.#parts.atOnce) break
      // One for the file that had the name before is under way.
      if (!this.#running.has(path)) this.#start(path)
    }
    if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  #start(path: string): void {
    const { command, onStart, onFailed, onEnd } = this.#parts
    let isOver = false
    const over = (reason: string | undefined) => {
      if (isOver) return
      isOver = true
      this.#running.delete(path)
      if (reason !== undefined) onFailed(path, reason)
      onEnd?.(path)
      this.#next()
    }
    this.#waiting.delete(path)
    this.#running.set(path, undefined)
    onStart?.(path)
    try {
      // NB: what it prints must not get between our data, so its stdout is our stderr. A name cannot be taken for an option.
      const child = spawn(command, [path.startsWith('-') ? `./${path}` : path], { stdio: ['ignore', 2, 2] })
      this.#running.set(path, child)
      child.on('error', (error) => over(error.message))
      child.on('exit', (status, signal) => over(status === 0 ? undefined : signal === null ? `status ${status}` : signal))
      if (child.pid !== undefined) lowerPriority(child.pid)
    } catch (error) {
      over((error as Error).message)
    }
  }
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW)
  } catch {
    // It has ended already.
  }
}
