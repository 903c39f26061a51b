/** The command that a person would type for a setting. */
import { cpuListText, cpuMaskText } from '../../kernel/cpus.js'
import { coalescingCalls } from '../../kernel/ethtool-queues.js'
import { namespacePath } from '../../kernel/namespace.js'
import type { InterfaceFacts, InterruptFacts } from '../facts.js'
import { interruptRole, type Setting, slotsByQueue } from './setting.js'

/** Features that `ethtool -K` knows by a shorter name than the kernel's. */
const SHORT_FEATURE: Readonly<Record<string, string>> = { 'rx-gro': 'gro', 'rx-lro': 'lro', 'rx-vlan-hw-parse': 'rxvlan' }
const SHORT_COALESCING: Readonly<Record<string, string>> = { use_adaptive_rx_coalesce: 'adaptive-rx', rx_coalesce_usecs: 'rx-usecs' }

/** Where a command is to act. */
export type Place = Pick<InterfaceFacts, 'name' | 'netns' | 'foreignSysfs'>

export function commandFor(setting: Setting, facts: InterfaceFacts): string {
  const name = quoted(facts.name)
  const ethtool = (option: string, rest: string) => inNamespace(facts, `ethtool ${option} ${name} ${rest}`)
  const write = (file: string, value: string) => inOwnSysfs(facts, `echo ${value} > ${queueFiles(facts, file)}`)
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
    case 'threaded':
      return inOwnSysfs(facts, `echo ${setting.value} > /sys/class/net/${name}/threaded`)
    case 'interrupt':
      return `echo ${cpuListText(setting.value)} > /proc/irq/${irqOf(setting.name, facts.interrupts) ?? '?'}/smp_affinity_list`
    case 'receive-queue-cpus':
      return write(`rx-${setting.queue}/rps_cpus`, cpuMaskText(setting.value))
    case 'receive-queue-flows':
      return write(`rx-${setting.queue}/rps_flow_cnt`, `${setting.value}`)
    case 'transmit-queue-cpus':
      return write(`tx-${setting.queue}/xps_cpus`, cpuMaskText(setting.value))
    case 'transmit-queue-receivers':
      return write(`tx-${setting.queue}/xps_rxqs`, cpuMaskText(setting.value))
  }
}

/** `ringtap tune apply -i eth0`, with the namespace as it was asked for. */
export function ringtapCommand(command: string, { name, netns }: Pick<Place, 'name'> & Partial<Pick<Place, 'netns'>>): string {
  return `ringtap ${command} -i ${quoted(name)}${netns === undefined ? '' : ` --netns ${quoted(netns)}`}`
}

/** A word as sh(1) takes it. Names of interfaces may have all but white space, `/` and `:` (dev_valid_name). */
export function quoted(word: string): string {
  return /^[\w.:@%+=/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** Where the queues have their files; `file` may be a pattern. */
export function queueFiles({ name }: Place, file: string): string {
  return `/sys/class/net/${quoted(name)}/queues/${file}`
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

export function inNamespace({ netns }: Pick<Place, 'netns'>, command: string): string {
  if (netns === undefined) return command
  return isNamed(netns) ? `ip netns exec ${quoted(netns)} ${command}` : `nsenter --net=${quoted(namespacePath(netns))} ${command}`
}

/** sysfs shows the interfaces of the namespace that mounted it: ip-netns(8) mounts one of its own, nsenter(1) and unshare(1) do not. */
export function inOwnSysfs({ netns, foreignSysfs }: Pick<Place, 'netns' | 'foreignSysfs'>, script: string): string {
  if (netns === undefined && foreignSysfs !== true) return script
  if (netns !== undefined && isNamed(netns)) return inNamespace({ netns }, `sh -c ${quoted(script)}`)
  return inNamespace({ netns }, `unshare -m sh -c ${quoted(`mount -t sysfs sysfs /sys && ${script}`)}`)
}

/** As openNamespace takes it: a path has a slash, a pid is digits. */
function isNamed(netns: string): boolean {
  return namespacePath(netns) === `/run/netns/${netns}`
}
