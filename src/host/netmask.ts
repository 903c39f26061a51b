/** The IPv4 network that an interface is in, which `ip broadcast` asks for. */
import { networkInterfaces } from 'node:os'
import { ip4Parts } from '../filter/address-text.js'

/** As 32 bits, of the interface's first IPv4 address; 0 where it has none, as tcpdump has it. Call it inside the interface's network namespace. */
export function netmaskOf(interfaceName: string, all = networkInterfaces()): number {
  const address = all[interfaceName]?.find(({ family }) => family === 'IPv4')
  return address === undefined ? 0 : (ip4Parts(address.netmask)?.value ?? 0) >>> 0
}
