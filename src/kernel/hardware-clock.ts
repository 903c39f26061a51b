/** Whether a NIC stamps packets as they arrive: that is off until somebody turns it on, for all who use the NIC. */
import { IFNAMSIZ, IFREQ, SIOCGHWTSTAMP } from './abi/if.js'
import { HWTSTAMP_CONFIG, HWTSTAMP_FILTER_NONE } from './abi/net_tstamp.js'
import type { Descriptor } from './descriptor.js'
import type { Kernel } from './system.js'

/** In the namespace of the socket `control`; undefined where the driver does not tell. Since Linux 3.14. */
export function stampsArrivals(kernel: Kernel, control: Descriptor, interfaceName: string): boolean | undefined {
  const config = new ArrayBuffer(HWTSTAMP_CONFIG.sizeof)
  const request = new Uint8Array(new ArrayBuffer(IFREQ.sizeof))
  new TextEncoder().encodeInto(interfaceName, request.subarray(0, IFNAMSIZ - 1))
  new DataView(request.buffer).setBigUint64(IFREQ.ifr_data, kernel.addressOf(config), true)
  if (kernel.ioctl(control.fd, SIOCGHWTSTAMP, request) < 0) return undefined
  return new DataView(config).getInt32(HWTSTAMP_CONFIG.rx_filter, true) !== HWTSTAMP_FILTER_NONE
}
