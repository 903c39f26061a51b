/** `-z COMMAND`: a program that is run for each finished file, with the file's name as its one argument and without a shell. */
import { spawn } from 'node:child_process'
import { constants, setPriority } from 'node:os'

export class PostCommands {
  readonly #command: string
  readonly #atOnce: number
  readonly #onFailed: (path: string, reason: string) => void
  readonly #onDone: (path: string) => void
  readonly #waiting: string[] = []
  #running = 0
  #idle: (() => void)[] = []

  /** `atOnce`: so many run at the same time, the others wait. `onDone` is called for each that ended with status 0. */
  constructor(command: string, atOnce: number, onFailed: (path: string, reason: string) => void, onDone: (path: string) => void = () => {}) {
    this.#command = command
    this.#atOnce = atOnce
    this.#onFailed = onFailed
    this.#onDone = onDone
  }

  /** Runs it for this file, now or when there is a place. */
  run(path: string): void {
    this.#waiting.push(path)
    this.#next()
  }

  /** When all have ended. */
  finished(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #next(): void {
    while (this.#running < this.#atOnce && this.#waiting.length > 0) this.#start(this.#waiting.shift() as string)
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  #start(path: string): void {
    let isOver = false
    const over = (reason: string | undefined) => {
      if (isOver) return
      isOver = true
      this.#running--
      if (reason === undefined) this.#onDone(path)
      else this.#onFailed(path, reason)
      this.#next()
    }
    this.#running++
    try {
      // NB: what it prints must not get between our data, so its stdout is our stderr. A name cannot be taken for an option.
      const child = spawn(this.#command, [path.startsWith('-') ? `./${path}` : path], { stdio: ['ignore', 2, 2] })
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
