/** Opens a capture: plan, sockets, workers, and only when every handler is ready, packets. */
import { freemem } from 'node:os'
import { pathToFileURL } from 'node:url'
import { CaptureError } from '../errors.js'
import type { Handler } from '../handler.js'
import { openMachineFiles } from '../host/machine-files.js'
import { netmaskOf } from '../host/netmask.js'
import { queueCpus } from '../host/queues.js'
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../kernel/abi/process.js'
import { Descriptor } from '../kernel/descriptor.js'
import { callFailed } from '../kernel/errno.js'
import { openControlSocket } from '../kernel/ethtool.js'
import { speedOf } from '../kernel/ethtool-device.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { allowedCpus } from '../kernel/thread.js'
import { PacketSockets } from '../source/packet-socket.js'
import { XdpSockets } from '../source/xdp-socket.js'
import { orAborted } from './abort.js'
import type { AccountSpec } from './account.js'
import type { Capture, CaptureOptions, CapturePlan } from './api.js'
import { ABANDON, Budget, Control, controlMemory } from './control.js'
import { countersMemory } from './counters.js'
import type { RecordedInterface } from './file-facts.js'
import { type FilterFor, prepareFilter, prepareTrigger } from './filter.js'
import { loadHandler } from './handler-module.js'
import { InterfaceDrops } from './interface-drops.js'
import { LedgerBook, type LeftOf } from './ledger-book.js'
import { MAX_SNAP_LENGTH_BYTES, MAX_WORKERS, type MachineFacts, planCapture, workerCpu } from './plan.js'
import { Recording } from './recording.js'
import { HANDLER_PATIENCE_MS, RunningCapture } from './running.js'
import { atThreadEnd } from './thread-end.js'
import { TimeMachine } from './time-machine.js'
import { UserChange } from './user-change.js'
import type { WorkerData } from './worker.js'
import { type Restarts, WorkerThread } from './worker-thread.js'

/** What the planner needs to know about this machine. */
export function machineFacts(kernel: Kernel = openKernel()): MachineFacts {
  return { pageSize: kernel.pageSize, cpus: allowedCpus(kernel), availableMemoryBytes: freemem() }
}

/**
 * Opens a capture; packets flow when it resolves, and not one from before or of another interface is delivered.
 * Minimum kernel: 3.19 (`ring`), 4.12 for more than one worker, 5.9 for `xdp`.
 * @throws CaptureError; then nothing is left open.
 */
export async function openCapture(options: CaptureOptions): Promise<Capture> {
  return openCaptureWith(openKernel(), options)
}

/** The same with handler data for as many workers as there turn out to be. */
export async function openCaptureFor(options: CaptureOptions, handlerData: (workers: number) => unknown): Promise<Capture> {
  return openCaptureWith(openKernel(), options, handlerData)
}

/** The same on a given kernel, for tests: workers always use the real one. */
export async function openCaptureWith(kernel: Kernel, options: CaptureOptions, handlerData?: (workers: number) => unknown): Promise<Capture> {
  const plan = planCapture(options, machineFacts(kernel))
  options.signal?.throwIfAborted()
  checkClonable(options.handlerData)
  const filter = await prepareFilter(plan)
  const trigger = await prepareTrigger(plan)
  const handlerUrl = options.handler === undefined ? undefined : absoluteUrl(options.handler)
  const handler = handlerUrl === undefined ? {} : await loadHandler(handlerUrl)
  const opening = new Opening(kernel, plan, filter, trigger, options, handler, handlerData ?? (() => options.handlerData))
  try {
    return await opening.open(handlerUrl)
  } catch (error) {
    await opening.undo()
    throw error
  }
}

/** What one worker reads. */
interface WorkerSource {
  socket: Descriptor
  account: AccountSpec
  source: WorkerData['source']
  controlFd: number | undefined
}

/** Everything that is open so far, so that a failure at any step can be undone. */
class Opening {
  readonly #kernel: Kernel
  #plan: CapturePlan
  readonly #filter: FilterFor | undefined
  readonly #trigger: Awaited<ReturnType<typeof prepareTrigger>>
  readonly #options: CaptureOptions
  readonly #handler: Handler
  readonly #handlerData: (workers: number) => unknown
  #sockets: (PacketSockets | XdpSockets)[] = []
  readonly #wakes: Descriptor[] = []
  readonly #threads: WorkerThread[] = []
  #namespace: Descriptor | undefined
  #interfaceDrops: InterfaceDrops | undefined
  #book: LedgerBook | undefined
  #recording: Recording | undefined
  #user: UserChange | undefined
  readonly #leaveThread: () => void

  constructor(
    kernel: Kernel,
    plan: CapturePlan,
    filter: FilterFor | undefined,
    trigger: Awaited<ReturnType<typeof prepareTrigger>>,
    options: CaptureOptions,
    handler: Handler,
    handlerData: (workers: number) => unknown,
  ) {
    this.#kernel = kernel
    this.#plan = plan
    this.#filter = filter
    this.#trigger = trigger
    this.#options = options
    this.#handler = handler
    this.#handlerData = handlerData
    this.#leaveThread = atThreadEnd(() => this.#closeNow())
  }

  async open(handlerUrl: string | undefined): Promise<Capture> {
    const kernel = this.#kernel
    this.#user = this.#plan.user === undefined ? undefined : UserChange.find(this.#plan.user)
    if (this.#plan.netns !== undefined) this.#namespace = openNamespace(kernel, this.#plan.netns)
    withNamespace(kernel, this.#namespace, () => this.#prepare())
    const plan = this.#plan
    const sources = this.#sockets.map((sockets) => this.#sourcesOf(sockets))
    const workerCount = sources.flat().length
    const control = controlMemory(workerCount)
    const counters = countersMemory(workerCount)
    const budget = plan.count === undefined ? undefined : Budget.memory(plan.count)
    const allowed = allowedCpus(kernel)
    const restarts: Restarts = { left: plan.workerRestarts }
    const handlerData = this.#handlerData(workerCount)
    const { signal, onEvent } = this.#options
    const interfaces = plan.write === undefined ? [] : this.#recordedInterfaces()
    const places = sources.flatMap((ofInterface, i) => ofInterface.map(() => i))
    const recording = await Recording.open({ kernel, plan, interfaces, workers: places, user: this.#user, signal, onEvent })
    this.#recording = recording
    const pastOf = TimeMachine.workerPast(plan, workerCount)
    await TimeMachine.check(plan, this.#user)
    let worker = 0
    for (const [i, ofInterface] of sources.entries()) {
      const interfaceName = plan.interfaces[i] as string
      const { index: interfaceIndex } = (this.#sockets[i] as PacketSockets | XdpSockets).identity
      const past = pastOf?.(i, this.#trigger?.(withNamespace(kernel, this.#namespace, () => netmaskOf(interfaceName))))
      const cpus = plan.pin === 'queues' ? this.#queueCpus(interfaceName, allowed) : []
      for (const [w, { socket, account, source, controlFd }] of ofInterface.entries()) {
        const wake = this.#openWake()
        const cpu = plan.pin === 'queues' ? workerCpu(cpus, w) : workerCpu(plan.pin, worker)
        const data = { worker, workerCount, interfaceName, interfaceIndex, wakeFd: wake.fd, account, source, controlFd, cpu }
        this.#threads.push(
          new WorkerThread({
            kernel,
            socket,
            wake,
            control: new Control(control, worker),
            restarts,
            data: { ...data, handler: handlerUrl, handlerData, recording: recording?.ofWorker(worker, i), past, control, counters, budget },
          }),
        )
        worker++
      }
    }
    // A handler's `open` may take its time.
    await orAborted(Promise.all(this.#threads.map((thread) => thread.ready)), signal)
    signal?.throwIfAborted()
    this.#interfaceDrops = new InterfaceDrops(kernel, plan.interfaces, plan.netns)
    const book = new LedgerBook(kernel, plan, (place) => leftOf(this.#sockets[place]))
    this.#book = book
    for (const sockets of this.#sockets) sockets.start()
    book.opened()
    this.#user?.become()
    const xdp = this.#sockets.filter((sockets) => sockets instanceof XdpSockets)
    return new RunningCapture({
      kernel,
      plan,
      handler: this.#handler,
      threads: this.#threads,
      counters,
      recording,
      timeMachine: TimeMachine.open({ kernel, plan, interfaces, threads: this.#threads, onEvent }),
      signal,
      onEvent,
      interfaceDrops: () => this.#interfaceDrops?.total() ?? 0,
      book,
      settle: () => this.#settle(),
      xdp: plan.backend === 'xdp' ? xdp.map(({ inForce }, i) => ({ interface: plan.interfaces[i] as string, ...inForce })) : undefined,
      passed: () => xdp.reduce((sum, sockets) => sum + sockets.leftToStack().passed, 0),
      filtered: () => xdp.reduce((sum, sockets) => sum + sockets.leftToStack().filtered, 0),
      look: xdp.length === 0 ? undefined : () => xdp.map((sockets) => sockets.look()).find((error) => error !== undefined),
      release: () => this.#release(),
    })
  }

  /** Opens the sockets of all interfaces; where AF_XDP is not to be had and the plan has another way, that. */
  #prepare(): void {
    const { otherwise } = this.#plan
    try {
      this.#prepareAll()
    } catch (error) {
      if (otherwise === undefined || !(error instanceof CaptureError)) throw error
      for (const sockets of this.#sockets) sockets.close()
      this.#sockets = []
      this.#plan = otherwise
      this.#warn(`AF_XDP is not to be had, capturing by ${otherwise.backend}: ${error.message}`, error.hint)
      this.#prepareAll()
    }
  }

  #prepareAll(): void {
    const plan = this.#plan
    for (const interfaceName of plan.interfaces) {
      if (plan.backend !== 'xdp') {
        this.#sockets.push(PacketSockets.prepare(this.#kernel, this.#socketSpec(interfaceName)))
        continue
      }
      const sockets = XdpSockets.prepare(this.#kernel, {
        interfaceName,
        ...plan.xdp,
        workers: plan.workersPerInterface,
        promiscuous: plan.promiscuous,
        exclusive: plan.exclusive,
        filter: this.#filter?.('xdp', netmaskOf(interfaceName)),
        maxWorkers: MAX_WORKERS,
        report: (inForce) => this.#options.onEvent?.({ type: 'xdp', interface: interfaceName, ...inForce }),
        warn: (message, hint) => this.#warn(message, hint),
      })
      this.#sockets.push(sockets)
      if (plan.xdp.busyPollUs > 0) {
        const path = `/sys/class/net/${interfaceName}`
        this.#warn(
          `${interfaceName}: busy polling takes effect only when the interrupts of its queues are held back`,
          `echo 2 > ${path}/napi_defer_hard_irqs; echo 200000 > ${path}/gro_flush_timeout`,
        )
      }
    }
  }

  #sourcesOf(sockets: PacketSockets | XdpSockets): WorkerSource[] {
    const plan = this.#plan
    const looks = this.#needsMetadata()
    if (sockets instanceof XdpSockets) {
      const { index: interfaceIndex, macAddress } = sockets.identity
      const { coalesceMs, busyPollUs } = plan.xdp
      return sockets.queues.map(({ descriptor, account, memory }) => ({
        socket: descriptor,
        account: { kind: 'xdp', ...account },
        source: {
          kind: 'xdp',
          ...memory,
          interfaceIndex,
          macAddress,
          snapLengthBytes: plan.snapLengthBytes,
          lengthsOnly: !looks,
          hints: sockets.inForce.hardwareHints.length > 0,
          coalesceMs,
          busyPoll: busyPollUs > 0,
        },
        controlFd: sockets.control.fd,
      }))
    }
    return sockets.sockets.map(({ descriptor, ring }) => ({
      socket: descriptor,
      account: { kind: ring === undefined ? 'recv' : 'ring', fd: descriptor.fd },
      source:
        ring === undefined
          ? { kind: 'recv', batch: plan.batch, snapLengthBytes: plan.snapLengthBytes, metadata: looks }
          : { kind: 'ring', blockBytes: ring.blockBytes, blockCount: ring.blockCount },
      controlFd: undefined,
    }))
  }

  #recordedInterfaces(): RecordedInterface[] {
    const kernel = this.#kernel
    return withNamespace(kernel, this.#namespace, () => {
      using control = openControlSocket(kernel)
      return this.#sockets.map(({ identity }, i) => ({
        macAddress: identity.macAddress,
        speedMbps: speedOf(kernel, control, this.#plan.interfaces[i] as string),
      }))
    })
  }

  /** Nobody looks at the packets themselves when there is no handler for them and no file. */
  #needsMetadata(): boolean {
    return this.#handler.packet !== undefined || this.#handler.block !== undefined || this.#plan.write !== undefined
  }

  #warn(message: string, hint: string | undefined): void {
    this.#options.onEvent?.({ type: 'warning', message, ...(hint === undefined ? {} : { hint }) })
  }

  #socketSpec(interfaceName: string): Parameters<typeof PacketSockets.prepare>[1] {
    const plan = this.#plan
    return {
      interfaceName,
      ring: plan.backend === 'ring' ? plan.ring : undefined,
      receiveBufferBytes: plan.receiveBufferBytes,
      rxhash: this.#handler.needs?.rxhash === true,
      metadata: this.#needsMetadata(),
      filter: this.#filter?.(plan.backend, netmaskOf(interfaceName)),
      snapLengthBytes: plan.snapLengthBytes,
      maxSnapLengthBytes: MAX_SNAP_LENGTH_BYTES,
      promiscuous: plan.promiscuous,
      direction: plan.direction,
      workers: plan.workersPerInterface === 'queues' ? 1 : plan.workersPerInterface,
      fanout: plan.fanout,
      warn: (message, hint) => this.#warn(message, hint),
    }
  }

  #queueCpus(interfaceName: string, allowed: readonly number[]): number[] {
    using files = withNamespace(this.#kernel, this.#namespace, () => openMachineFiles(this.#kernel))
    return queueCpus(files, interfaceName, allowed)
  }

  #openWake(): Descriptor {
    const fd = this.#kernel.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if (fd < 0) throw callFailed({ subject: 'capture', call: 'eventfd', errno: fd })
    const wake = new Descriptor(this.#kernel, fd)
    this.#wakes.push(wake)
    return wake
  }

  /** As the thread that opened it ends. A ring lives as long as its mapping, which only its worker can undo: they are waited for. */
  #closeNow(): void {
    for (const thread of this.#threads) thread.send(ABANDON)
    const deadline = performance.now() + HANDLER_PATIENCE_MS
    for (const thread of this.#threads) thread.awaitSettled(deadline)
    this.#release()
  }

  /** After every worker has ended: descriptors, then nothing is left. */
  #release(): void {
    this.#leaveThread()
    this.#interfaceDrops?.close()
    this.#settle()
    for (const sockets of this.#sockets) sockets.close()
    for (const wake of this.#wakes) wake.close()
    this.#namespace?.close()
  }

  #settle(): void {
    // What was left to the stack is of packets that the interface has counted as received: it is read before that.
    for (const sockets of this.#sockets) if (sockets instanceof XdpSockets) sockets.settle()
    this.#book?.close()
  }

  async undo(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.abandon(HANDLER_PATIENCE_MS)))
    await this.#recording?.discard()
    this.#release()
  }
}

function leftOf(sockets: PacketSockets | XdpSockets | undefined): ReturnType<LeftOf> {
  return sockets instanceof XdpSockets ? { inForce: sockets.inForce, ...sockets.leftToStack() } : undefined
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
