/** Looks at this machine, and says what is in the way of a capture. */
import { CaptureError } from '../../errors.js'
import { carriedDefaultRoute } from '../../kernel/interface-use.js'
import { openNamespace, withNamespace } from '../../kernel/namespace.js'
import { type Kernel, openKernel } from '../../kernel/system.js'
import { sleepThread } from '../../kernel/thread.js'
import type { InterfaceFacts } from '../facts.js'
import { type InterfaceScope, listInterfaces, type NetworkInterface } from '../interfaces.js'
import { openMachineFiles } from '../machine-files.js'
import { readHostFactsOf, readInterfaceFactsOf } from '../read-facts.js'
import { type Diagnosis, diagnose } from './diagnose.js'
import { probeKernel } from './probes.js'
import { confinementFacts, softnetCounters } from './process-facts.js'

export interface DiagnosisOptions extends InterfaceScope {
  /** Default: those of hardware that are up, or, where there is none, the veths. */
  interfaces?: readonly string[] | undefined
}

/** Between two readings of counters that only tell by growing. */
const WATCHED_MS = 200

/**
 * Examines this machine, this process and interfaces for what keeps a capture from line rate. Needs no privilege: what cannot be read is
 * named. What the kernel lets this process do is tried, with small sockets and programs that are closed at once; nothing is changed.
 * It takes a fifth of a second, for counters are read twice.
 * @throws CaptureError NO_SUCH_INTERFACE; NO_SUCH_NAMESPACE, and PERMISSION for a namespace that may not be entered.
 */
export function diagnoseHost(options: DiagnosisOptions = {}): Diagnosis {
  const kernel = openKernel()
  const scope: InterfaceScope = options.netns === undefined ? {} : { netns: options.netns }
  using files = openMachineFiles(kernel, options.netns)
  const names = options.interfaces ?? usualInterfaces(listInterfaces(kernel, scope))
  const softnet = softnetCounters(files)
  const start = performance.now()
  const host = readHostFactsOf(kernel, files)
  const probes = probesIn(kernel, options.netns)
  const interfaces = withLowers(names, (name) => withCarriedRoute(kernel, readInterfaceFactsOf(kernel, files, name, scope)))
  sleepThread(Math.max(0, start + WATCHED_MS - performance.now()))
  return diagnose({
    host,
    confinement: confinementFacts(files, files),
    earlier: { softnet, agoMs: performance.now() - start },
    probes,
    interfaces,
    node: { version: process.versions.node, pointerCompression: isPointerCompressed(process.config.variables) },
  })
}

/** What packets come by first is in their way as well: the interfaces below those that were asked for, as far as they are in this namespace. */
function withLowers(names: readonly string[], read: (name: string) => InterfaceFacts): InterfaceFacts[] {
  const found = names.map(read)
  // NB: the list grows as it is gone through.
  for (const { lowers = [], netns } of found) {
    for (const lower of lowers) if (lower.netns === netns && !found.some(({ name }) => name === lower.name)) found.push(read(lower.name))
  }
  return found
}

/** Tuning asks what the link carries, not only what it has itself. */
function withCarriedRoute(kernel: Kernel, facts: InterfaceFacts): InterfaceFacts {
  using namespace = facts.netns === undefined ? undefined : openNamespace(kernel, facts.netns)
  try {
    const defaultRoute = withNamespace(kernel, namespace, () => carriedDefaultRoute(kernel, facts.name, facts.index))
    return { ...facts, defaultRoute }
  } catch (error) {
    // The facts name what could not be read.
    if (error instanceof CaptureError) return facts
    throw error
  }
}

/** A capture opens its sockets in the namespace of the interface. */
function probesIn(kernel: Kernel, netns: string | undefined) {
  using namespace = netns === undefined ? undefined : openNamespace(kernel, netns)
  return withNamespace(kernel, namespace, () => probeKernel(kernel))
}

/** As configure says it: 0 or 1, and in the type declarations neither. */
function isPointerCompressed(variables: object): boolean {
  return 'v8_enable_pointer_compression' in variables && variables.v8_enable_pointer_compression === 1
}

const ETHERNET = 1

function usualInterfaces(all: readonly NetworkInterface[]): string[] {
  const up = all.filter((it) => it.up && it.linkType === ETHERNET)
  const hardware = up.filter((it) => it.kind === undefined)
  return (hardware.length > 0 ? hardware : up.filter((it) => it.kind === 'veth')).map((it) => it.name)
}
