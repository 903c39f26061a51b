/** The public half of `transmit/`: the same function on the kernel of this machine. */
import { openKernel } from '../kernel/system.js'
import * as transmitter from './transmitter.js'

/**
 * Opens a transmitter: what puts packets onto an interface. It blocks for up to two seconds while the interface has no carrier.
 * Needs CAP_NET_RAW, with `netns` CAP_SYS_ADMIN.
 * @throws CaptureError INVALID_OPTION, NO_SUCH_INTERFACE, INTERFACE_DOWN (no carrier, too), UNSUPPORTED_LINK_TYPE, INTERFACE_IN_USE (it
 * leads to a network, and `yesThisNetwork` is not given), NO_SUCH_NAMESPACE, PERMISSION, RING_REFUSED, XDP_REFUSED
 */
export function openTransmitter(options: transmitter.TransmitterOptions): transmitter.Transmitter {
  return transmitter.openTransmitter(openKernel(), options)
}
