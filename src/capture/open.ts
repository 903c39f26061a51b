/** Opens a capture: plan, sockets, workers, and only when every handler is ready, packets. */
import { freemem } from 'node:os'
import { pathToFileURL } from 'node:url'
import { CaptureError } from '../errors.js'
import type { Handler } from '../handler.js'
import { queueCpus } from '../host/queues.js'
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../kernel/abi/process.js'
import { Descriptor } from '../kernel/descriptor.js'
import { callFailed } from '../kernel/errno.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { allowedCpus } from '../kernel/thread.js'
import { PacketSockets } from '../source/packet-socket.js'
import type { Capture, CaptureOptions, CapturePlan } from './api.js'
import { Budget, Control, controlMemory } from './control.js'
import { countersMemory } from './counters.js'
import { loadHandler } from './handler-module.js'
import { InterfaceDrops } from './interface-drops.js'
import { MAX_SNAP_LENGTH_BYTES, type MachineFacts, planCapture, workerCpu } from './plan.js'
import { HANDLER_PATIENCE_MS, RunningCapture } from './running.js'
import { type Restarts, WorkerThread } from './worker-thread.js'

/** What the planner needs to know about this machine. */
export function machineFacts(kernel: Kernel = openKernel()): MachineFacts {
  return { pageSize: kernel.pageSize, cpus: allowedCpus(kernel), availableMemoryBytes: freemem() }
}

/**
 * Opens a capture; packets flow when it resolves, and not one from before or of another interface is delivered.
 * Minimum kernel: 3.19 (`ring`), 4.12 for more than one worker.
 * @throws CaptureError; then nothing is left open.
 */
export async function openCapture(options: CaptureOptions): Promise<Capture> {
  return openCaptureWith(openKernel(), options)
}

/** The same on a given kernel, for tests: workers always use the real one. */
export async function openCaptureWith(kernel: Kernel, options: CaptureOptions): Promise<Capture> {
  const plan = planCapture(options, machineFacts(kernel))
  options.signal?.throwIfAborted()
  checkClonable(options.handlerData)
  const handlerUrl = options.handler === undefined ? undefined : absoluteUrl(options.handler)
  const handler = handlerUrl === undefined ? {} : await loadHandler(handlerUrl)
  const opening = new Opening(kernel, plan, options, handler)
  try {
    return await opening.open(handlerUrl)
  } catch (error) {
    await opening.undo()
    throw error
  }
}

/** Everything that is open so far, so that a failure at any step can be undone. */
class Opening {
  readonly #kernel: Kernel
  readonly #plan: CapturePlan
  readonly #options: CaptureOptions
  readonly #handler: Handler
  readonly #sockets: PacketSockets[] = []
  readonly #wakes: Descriptor[] = []
  readonly #threads: WorkerThread[] = []
  #namespace: Descriptor | undefined
  #interfaceDrops: InterfaceDrops | undefined

  constructor(kernel: Kernel, plan: CapturePlan, options: CaptureOptions, handler: Handler) {
    this.#kernel = kernel
    this.#plan = plan
    this.#options = options
    this.#handler = handler
  }

  async open(handlerUrl: string | undefined): Promise<Capture> {
    const kernel = this.#kernel
    const plan = this.#plan
    if (plan.netns !== undefined) this.#namespace = openNamespace(kernel, plan.netns)
    withNamespace(kernel, this.#namespace, () => {
      for (const interfaceName of plan.interfaces) this.#sockets.push(PacketSockets.prepare(kernel, this.#socketSpec(interfaceName)))
    })
    const workerCount = plan.workersPerInterface * plan.interfaces.length
    const control = controlMemory(workerCount)
    const counters = countersMemory(workerCount)
    const budget = plan.count === undefined ? undefined : Budget.memory(plan.count)
    const allowed = allowedCpus(kernel)
    const restarts: Restarts = { left: plan.workerRestarts }
    for (const [i, sockets] of this.#sockets.entries()) {
      const cpus = plan.pin === 'queues' ? queueCpus(plan.interfaces[i] as string, allowed) : []
      for (const [w, socket] of sockets.sockets.entries()) {
        const worker = i * plan.workersPerInterface + w
        const wake = this.#openWake()
        const ring = socket.ring
        this.#threads.push(
          new WorkerThread({
            kernel,
            socket: socket.descriptor,
            wake,
            control: new Control(control, worker),
            restarts,
            data: {
              worker,
              workerCount,
              interfaceName: plan.interfaces[i] as string,
              interfaceIndex: sockets.identity.index,
              fd: socket.descriptor.fd,
              wakeFd: wake.fd,
              source:
                ring === undefined
                  ? { kind: 'recv', batch: plan.batch, snapLengthBytes: plan.snapLengthBytes, metadata: needsMetadata(this.#handler) }
                  : { kind: 'ring', blockBytes: ring.blockBytes, blockCount: ring.blockCount },
              cpu: plan.pin === 'queues' ? workerCpu(cpus, w) : workerCpu(plan.pin, worker),
              handler: handlerUrl,
              handlerData: this.#options.handlerData,
              control,
              counters,
              budget,
            },
          }),
        )
      }
    }
    await Promise.all(this.#threads.map((thread) => thread.ready))
    this.#options.signal?.throwIfAborted()
    this.#interfaceDrops = new InterfaceDrops(kernel, plan.interfaces, plan.netns)
    for (const sockets of this.#sockets) sockets.start()
    return new RunningCapture({
      kernel,
      plan,
      handler: this.#handler,
      threads: this.#threads,
      counters,
      signal: this.#options.signal,
      onEvent: this.#options.onEvent,
      interfaceDrops: () => this.#interfaceDrops?.total() ?? 0,
      release: () => this.#release(),
    })
  }

  #socketSpec(interfaceName: string): Parameters<typeof PacketSockets.prepare>[1] {
    const plan = this.#plan
    return {
      interfaceName,
      ring: plan.backend === 'ring' ? plan.ring : undefined,
      receiveBufferBytes: plan.receiveBufferBytes,
      rxhash: this.#handler.needs?.rxhash === true,
      metadata: needsMetadata(this.#handler),
      snapLengthBytes: plan.snapLengthBytes,
      maxSnapLengthBytes: MAX_SNAP_LENGTH_BYTES,
      promiscuous: plan.promiscuous,
      direction: plan.direction,
      workers: plan.workersPerInterface,
      fanout: plan.fanout,
      warn: (message, hint) => this.#options.onEvent?.({ type: 'warning', message, ...(hint === undefined ? {} : { hint }) }),
    }
  }

  #openWake(): Descriptor {
    const fd = this.#kernel.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if (fd < 0) throw callFailed({ subject: 'capture', call: 'eventfd', errno: fd })
    const wake = new Descriptor(this.#kernel, fd)
    this.#wakes.push(wake)
    return wake
  }

  /** After every worker has ended: descriptors, then nothing is left. */
  #release(): void {
    this.#interfaceDrops?.close()
    for (const sockets of this.#sockets) sockets.close()
    for (const wake of this.#wakes) wake.close()
    this.#namespace?.close()
  }

  async undo(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.abandon(HANDLER_PATIENCE_MS)))
    this.#release()
  }
}

/** Nobody looks at the packets themselves when there is no handler for them. */
function needsMetadata(handler: Handler): boolean {
  return handler.packet !== undefined || handler.block !== undefined
}

function checkClonable(handlerData: unknown): void {
  try {
    structuredClone(handlerData)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CaptureError('INVALID_OPTION', `Expected the option handlerData to be something that structured clone takes: ${why}`, {
      cause,
      hint: 'functions and class instances stay on the main thread; give the handler what it needs to make its own',
    })
  }
}

function absoluteUrl(handler: URL | string): string {
  if (handler instanceof URL) return handler.href
  if (typeof handler !== 'string' || handler === '') {
    throw new CaptureError('INVALID_OPTION', `Expected the option handler to be a URL or a path, got ${String(handler)} (${typeof handler})`)
  }
  return /^[a-z][a-z+.-]+:/i.test(handler) ? handler : pathToFileURL(handler).href
}
