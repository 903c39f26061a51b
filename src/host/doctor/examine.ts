/** Looks at this machine, and says what is in the way of a capture. */
import { openNamespace, withNamespace } from '../../kernel/namespace.js'
import { type Kernel, openKernel } from '../../kernel/system.js'
import { type InterfaceScope, listInterfaces, type NetworkInterface } from '../interfaces.js'
import { openMachineFiles } from '../machine-files.js'
import { readHostFactsOf, readInterfaceFactsOf } from '../read-facts.js'
import { type Diagnosis, diagnose } from './diagnose.js'
import { probeKernel } from './probes.js'
import { confinementFacts } from './process-facts.js'

export interface DiagnosisOptions extends InterfaceScope {
  /** Default: those of hardware that are up, or, where there is none, the veths. */
  interfaces?: readonly string[] | undefined
}

/**
 * Examines this machine, this process and interfaces for what keeps a capture from line rate. Needs no privilege: what cannot be read is
 * named. What the kernel lets this process do is tried, with small sockets and programs that are closed at once; nothing is changed.
 * @throws CaptureError NO_SUCH_INTERFACE; NO_SUCH_NAMESPACE, and PERMISSION for a namespace that may not be entered.
 */
export function diagnoseHost(options: DiagnosisOptions = {}): Diagnosis {
  const kernel = openKernel()
  const scope: InterfaceScope = options.netns === undefined ? {} : { netns: options.netns }
  using files = openMachineFiles(kernel, options.netns)
  const names = options.interfaces ?? usualInterfaces(listInterfaces(kernel, scope))
  return diagnose({
    host: readHostFactsOf(kernel, files),
    confinement: confinementFacts(files),
    probes: probesIn(kernel, options.netns),
    interfaces: names.map((name) => readInterfaceFactsOf(kernel, files, name, scope)),
    node: { version: process.versions.node, pointerCompression: isPointerCompressed(process.config.variables) },
  })
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
