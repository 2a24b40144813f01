# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_goosefs_global_optspecs
    string join \n config= D= h/help V/version
end

function __fish_goosefs_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_goosefs_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_goosefs_using_subcommand
    set -l cmd (__fish_goosefs_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c goosefs -n "__fish_goosefs_needs_command" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_needs_command" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_needs_command" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_needs_command" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "getConf" -d 'Print the value of a property, or of all'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "getconf" -d 'Print the value of a property, or of all'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "checkConf" -d 'Check the configuration and do nothing else'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "checkconf" -d 'Check the configuration and do nothing else'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "version" -d 'Print the version'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "generate" -d 'Write man pages and completions'
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s o -l output -d 'How to print' -r -f -a "text\t'`name=value` lines'
json\t'One JSON object'"
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -l source -d 'Say where each value comes from'
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s o -l output -d 'How to print' -r -f -a "text\t'`name=value` lines'
json\t'One JSON object'"
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -l source -d 'Say where each value comes from'
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -s V -l version -d 'Print version'
