/** What the driver of an interface tells XDP programs of a packet beside its bytes: which of it is to be had here, and why not the rest. */
import { release } from 'node:os'
import type { XskHintFunctions } from '../bpf/xsk-program.js'
import { kernelFunctions } from '../kernel/btf.js'
import { xdpMetadata } from '../kernel/netdev.js'
import type { Kernel } from '../kernel/system.js'

/** `timestamp`: when the packet came, by the NIC's clock. `vlan`: the tag that the NIC took out of the frame. */
export const HARDWARE_HINTS = ['timestamp', 'vlan'] as const
export type HardwareHint = (typeof HARDWARE_HINTS)[number]

const FUNCTIONS: Readonly<Record<HardwareHint, { name: string; since: string }>> = {
  timestamp: { name: 'bpf_xdp_metadata_rx_timestamp', since: '6.3' },
  vlan: { name: 'bpf_xdp_metadata_rx_vlan_tag', since: '6.8' },
}
const NAMES: Readonly<Record<HardwareHint, string>> = { timestamp: 'time stamps', vlan: 'VLAN tags' }

export interface FoundHints {
  functions: XskHintFunctions
  /** Why those that are not among `functions` are not to be had. */
  missing: Map<HardwareHint, string>
}

/** Of an interface of the calling thread's network namespace. Reads the kernel's BTF: 15 to 30 ms. */
export function findHints(kernel: Kernel, interfaceName: string, interfaceIndex: number, btfPath?: string): FoundHints {
  const functions: XskHintFunctions = { timestamp: undefined, vlan: undefined }
  const missing = new Map<HardwareHint, string>()
  const driver = xdpMetadata(kernel, interfaceName, interfaceIndex)
  const wanted: HardwareHint[] = []
  for (const hint of HARDWARE_HINTS) {
    if (driver?.[hint] === false) missing.set(hint, 'its driver gives XDP programs none')
    else wanted.push(hint)
  }
  if (wanted.length === 0) return { functions, missing }
  try {
    const ids = kernelFunctions(
      wanted.map((hint) => FUNCTIONS[hint].name),
      btfPath,
    )
    for (const hint of wanted) {
      const { name, since } = FUNCTIONS[hint]
      functions[hint] = ids.get(name)
      if (functions[hint] === undefined) missing.set(hint, `Linux ${release()} has no ${name}, which came with ${since}`)
    }
  } catch (error) {
    // No such file, or nothing that we can read: the kernel cannot be asked for its functions.
    for (const hint of wanted) missing.set(hint, `the kernel's functions are not to be found (CONFIG_DEBUG_INFO_BTF): ${(error as Error).message}`)
  }
  return { functions, missing }
}

/** A sentence for each reason. */
export function missingHints(interfaceName: string, missing: ReadonlyMap<HardwareHint, string>): string[] {
  return [...new Set(missing.values())].map((reason) => {
    const names = HARDWARE_HINTS.filter((hint) => missing.get(hint) === reason).map((hint) => NAMES[hint])
    return `${interfaceName}: no ${names.join(' and no ')} from the NIC: ${reason}`
  })
}
