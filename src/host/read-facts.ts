/** Facts of this machine and of its interfaces. Needs no privilege: what could not be read is named. */
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { allowedCpus } from '../kernel/thread.js'
import { askDevice } from './ask-device.js'
import type { HostFacts, InterfaceFacts } from './facts.js'
import { hostFacts } from './host-facts.js'
import type { HostFiles } from './host-files.js'
import { interfaceFacts } from './interface-facts.js'
import type { InterfaceScope } from './interfaces.js'
import { openMachineFiles } from './machine-files.js'

/** The machine: kernel, CPUs and their NUMA nodes, memory, irqbalance, limits of the kernel. Never throws for what it may not read. */
export function readHostFacts(): HostFacts {
  const kernel = openKernel()
  using files = openMachineFiles(kernel)
  return readHostFactsOf(kernel, files)
}

export function readHostFactsOf(kernel: Kernel, files: HostFiles): HostFacts {
  return hostFacts(files, { architecture: process.arch, pageSizeBytes: kernel.pageSize, allowedCpus: allowedCpus(kernel) })
}

/**
 * One interface: driver, link, queues, rings, RSS, offloads, coalescing, RPS and XPS, interrupts, XDP, and what holds it promiscuous.
 * @throws CaptureError NO_SUCH_INTERFACE; NO_SUCH_NAMESPACE, and PERMISSION for a namespace that may not be entered.
 */
export function readInterfaceFacts(interfaceName: string, scope: InterfaceScope = {}): InterfaceFacts {
  const kernel = openKernel()
  using files = openMachineFiles(kernel, scope.netns)
  return readInterfaceFactsOf(kernel, files, interfaceName, scope)
}

/** The same with files that are open already, which must be those of the namespace. */
export function readInterfaceFactsOf(kernel: Kernel, files: HostFiles, interfaceName: string, scope: InterfaceScope = {}): InterfaceFacts {
  using namespace = scope.netns === undefined ? undefined : openNamespace(kernel, scope.netns)
  const answers = withNamespace(kernel, namespace, () => askDevice(kernel, interfaceName))
  return interfaceFacts(answers, files, scope.netns)
}
