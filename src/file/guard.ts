/**
 * A process that sees to it that files end in a whole record even when this one is killed in the middle of a write(2), which stops
 * between two pages (guard-process.ts). It is Node.js itself with a small heap, 7 MiB of its own memory; it costs an append one
 * pwrite(2) of eight bytes, and ends within milliseconds of this process, however that ends. Until it is up, 40 to 100 ms, a signal to
 * it alone (a service manager's SIGTERM to every process) ends it; the terminal's do not reach it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fstatSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SharedMemory } from '../kernel/shared-memory.js'
import type { Kernel } from '../kernel/system.js'
import type { GuardedFile, GuardMessage } from './guard-message.js'
import type { NumberedName } from './numbered-name.js'
import type { OutputFile } from './output-file.js'
import { targetOf } from './output-file.js'

/** Shared memory is a page at least. */
const SLOTS = 512

/** Whom the files belong to, where that is not this process's user. */
export interface GuardUser {
  name: string
  gid: number
}

export class Guard {
  readonly #kernel: Kernel
  readonly #memory: SharedMemory
  readonly #process: ChildProcess | undefined
  readonly #files = new Map<number, GuardedFile>()
  readonly #onLost: (reason: string) => void
  readonly #user: GuardUser | undefined
  #closed = false

  private constructor(kernel: Kernel, memory: SharedMemory, onLost: (reason: string) => void, user: GuardUser | undefined) {
    this.#kernel = kernel
    this.#memory = memory
    this.#onLost = onLost
    this.#user = user
    this.#process = this.#start()
  }

  /**
   * Starts the process, which becomes `user` once it is up. `onLost` is called once if it cannot run or ends early: the files are then
   * written without it.
   */
  static start(kernel: Kernel, onLost: (reason: string) => void = () => {}, user?: GuardUser): Guard {
    return new Guard(kernel, SharedMemory.create(kernel, { name: 'ringtap-guard', bytes: SLOTS * 8, hugepages: false }), onLost, user)
  }

  #start(): ChildProcess | undefined {
    // NB: what the user gives Node.js by NODE_OPTIONS (a debugger, a loader, a heap) is meant for the main process.
    const { NODE_OPTIONS: _, ...env } = process.env
    const flags = ['--max-old-space-size=16', '--max-semi-space-size=1', '--no-warnings']
    const user = this.#user === undefined ? [] : [this.#user.name, String(this.#user.gid)]
    try {
      const child = spawn(process.execPath, [...flags, fileURLToPath(new URL('./guard-process.js', import.meta.url)), ...user], {
        cwd: '/',
        env,
        // A session of its own: what ends our process group must not end it first.
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore', this.#memory.descriptor.fd],
      })
      child.on('error', (error) => this.#lost(error.message))
      child.on('exit', (status, signal) => this.#lost(`it ended with ${signal ?? `status ${status}`}`))
      child.stdin?.on('error', () => {})
      child.unref()
      ;(child.stdin as unknown as { unref?: () => void } | null)?.unref?.()
      return child
    } catch (error) {
      this.#lost((error as Error).message)
      return undefined
    }
  }

  #lost(reason: string): void {
    if (this.#closed) return
    this.#closed = true
    this.#onLost(reason)
  }

  /** Of the shared memory, for RecordSink. */
  get memoryFd(): number {
    return this.#memory.descriptor.fd
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** A file of this hidden name is about to be made; it is removed if nothing is written to it. Answers its slot, -1 when there is none free. */
  expect(partPath: string): number {
    const slot = Array.from({ length: SLOTS }, (_, index) => index).find((index) => !this.#files.has(index)) ?? -1
    if (slot < 0) return slot
    this.#kernel.pwrite(this.memoryFd, new Uint8Array(8), slot * 8)
    this.#guard(slot, { path: resolve(partPath) })
    return slot
  }

  /**
   * Guards a regular file that is to become `finalPath`, or the first of `numbered` that is free, in the slot that it was expected in; answers
   * that. Its length is 0 so far.
   */
  add(output: OutputFile, finalPath: string, expected?: number, numbered?: NumberedName): number {
    const path = output.guardedPath
    const slot = path === undefined ? -1 : (expected ?? this.expect(path))
    if (path === undefined || slot < 0) return -1
    const { dev: device, ino: inode } = fstatSync(output.fd)
    const isHidden = output.partPath !== undefined
    this.#guard(slot, {
      path,
      device,
      inode,
      finalPath: isHidden ? resolve(targetOf(finalPath)) : undefined,
      numbered: isHidden && numbered !== undefined ? { ...numbered, before: resolve(numbered.before) } : undefined,
    })
    return slot
  }

  /** A file has got another name to be. */
  rename(slot: number, finalPath: string): void {
    const file = this.#files.get(slot)
    if (file?.finalPath !== undefined) this.#guard(slot, { ...file, finalPath: resolve(targetOf(finalPath)) })
  }

  /** A file is finished. */
  remove(slot: number): void {
    if (this.#files.delete(slot)) this.#tell({ slot })
  }

  /** Ends the process. What is still being written is guarded no more. */
  async close(): Promise<void> {
    const wasOpen = !this.#closed
    this.#closed = true
    const child = this.#process
    if (wasOpen && child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.ref()
      // Once privileges have been dropped it is not ours to kill; then it ends as its stdin does, with nothing left to guard.
      if (!child.kill('SIGKILL')) child.stdin?.end([...this.#files.keys()].map((slot) => `${JSON.stringify({ slot })}\n`).join(''))
      await ended
    }
    child?.stdin?.destroy()
    this.#memory.close()
  }

  #guard(slot: number, file: GuardedFile): void {
    this.#files.set(slot, file)
    this.#tell({ slot, file })
  }

  #tell(message: GuardMessage): void {
    if (!this.#closed) this.#process?.stdin?.write(`${JSON.stringify(message)}\n`)
  }
}
