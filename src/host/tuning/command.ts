/** The command that a person would type for a setting. */
import { cpuListText, cpuMaskText } from '../../kernel/cpus.js'
import { coalescingCalls } from '../../kernel/ethtool-queues.js'
import { namespacePath } from '../../kernel/namespace.js'
import type { InterfaceFacts, InterruptFacts } from '../facts.js'
import { interruptRole, type Setting, slotsByQueue } from './setting.js'

/** Features that `ethtool -K` knows by a shorter name than the kernel's. */
const SHORT_FEATURE: Readonly<Record<string, string>> = { 'rx-gro': 'gro', 'rx-lro': 'lro', 'rx-vlan-hw-parse': 'rxvlan' }
const SHORT_COALESCING: Readonly<Record<string, string>> = { use_adaptive_rx_coalesce: 'adaptive-rx', rx_coalesce_usecs: 'rx-usecs' }

export function commandFor(setting: Setting, facts: InterfaceFacts): string {
  const { name, netns } = facts
  const ethtool = (option: string, rest: string) => inNamespace(netns, `ethtool ${option} ${name} ${rest}`)
  switch (setting.kind) {
    case 'sysctl':
      return `sysctl -w ${setting.name}="${setting.value}"`.replace(/"(\S+)"$/, '$1')
    case 'governor':
      return `echo ${setting.value} > /sys/devices/system/cpu/cpu${setting.cpu}/cpufreq/scaling_governor`
    case 'channels':
      return ethtool('-L', channelWords(setting.value, facts))
    case 'rings':
      return ethtool('-G', `rx ${setting.value.rx}${setting.value.tx === facts.rings?.tx.current ? '' : ` tx ${setting.value.tx}`}`)
    case 'rss-indirection':
      return ethtool('-X', setting.value === 'default' ? 'default' : `equal ${slotsByQueue(setting.value).size}`)
    case 'rss-key':
      return ethtool('-X', `hkey ${setting.value.replaceAll(/(..)(?=.)/g, '$1:')}`)
    case 'flow-hash':
      return ethtool('-N', `rx-flow-hash ${setting.flow} ${setting.value}`)
    case 'feature':
      return ethtool('-K', `${SHORT_FEATURE[setting.name] ?? setting.name} ${setting.value ? 'on' : 'off'}`)
    case 'coalescing':
      return coalescingCalls(facts.coalescing ?? {}, setting.value)
        .map((call) => ethtool('-C', Object.entries(call).map(coalescingWords).join(' ')))
        .join(' && ')
    case 'interrupt':
      return `echo ${cpuListText(setting.value)} > /proc/irq/${irqOf(setting.name, facts.interrupts) ?? '?'}/smp_affinity_list`
    case 'receive-queue-cpus':
      return writeInNamespace(netns, cpuMaskText(setting.value), `/sys/class/net/${name}/queues/rx-${setting.queue}/rps_cpus`)
    case 'receive-queue-flows':
      return writeInNamespace(netns, `${setting.value}`, `/sys/class/net/${name}/queues/rx-${setting.queue}/rps_flow_cnt`)
    case 'transmit-queue-cpus':
      return writeInNamespace(netns, cpuMaskText(setting.value), `/sys/class/net/${name}/queues/tx-${setting.queue}/xps_cpus`)
    case 'transmit-queue-receivers':
      return writeInNamespace(netns, cpuMaskText(setting.value), `/sys/class/net/${name}/queues/tx-${setting.queue}/xps_rxqs`)
  }
}

/** The number that the interrupt of a setting has now. */
export function irqOf(role: string, interrupts: readonly InterruptFacts[]): number | undefined {
  return interrupts.find((it) => interruptRole(it, interrupts) === role)?.irq
}

/** Those that differ from what is in force. */
function channelWords(to: Readonly<Record<'combined' | 'rx' | 'tx', number>>, { channels }: InterfaceFacts): string {
  const changed = (['combined', 'rx', 'tx'] as const).filter((name) => channels?.[name].current !== to[name])
  return changed.map((name) => `${name} ${to[name]}`).join(' ')
}

function coalescingWords([name, value]: readonly [string, number]): string {
  const word = SHORT_COALESCING[name] ?? name
  return word.startsWith('adaptive') ? `${word} ${value === 0 ? 'off' : 'on'}` : `${word} ${value}`
}

function inNamespace(netns: string | undefined, command: string): string {
  if (netns === undefined) return command
  return isNamed(netns) ? `ip netns exec ${netns} ${command}` : `nsenter --net=${namespacePath(netns)} ${command}`
}

/** sysfs shows the interfaces of the namespace that mounted it: ip-netns(8) mounts one of its own, nsenter(1) does not. */
function writeInNamespace(netns: string | undefined, value: string, path: string): string {
  const write = `echo ${value} > ${path}`
  if (netns === undefined) return write
  if (isNamed(netns)) return `ip netns exec ${netns} sh -c '${write}'`
  return `nsenter --net=${namespacePath(netns)} unshare -m sh -c 'mount -t sysfs sysfs /sys && ${write}'`
}

/** As openNamespace takes it: a path has a slash, a pid is digits. */
function isNamed(netns: string): boolean {
  return namespacePath(netns) === `/run/netns/${netns}`
}
