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
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "master" -d 'Run a master'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "worker" -d 'Run a worker'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "fuse" -d 'Mount the tree as a directory of this host'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "local" -d 'Run master, worker and mounted directory in one process'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "mount" -d 'Mount one under store as a cached directory, with no cluster and no configuration'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "fs" -d 'Work with files and directories of the tree'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "ns" -d 'Work with namespaces: under stores under a name, with policies'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "load" -d 'Load files into the cache, on all workers at once'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "job" -d 'List, look at, pause, resume, cancel and retry jobs'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "fsadmin" -d 'Look after a cluster'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "masterinfo" -d 'Say who is primary master, and who stands by'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "format" -d 'Forget a master\'s journal and inode tree'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "getConf" -d 'Print the value of a property, or of all'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "getconf" -d 'Print the value of a property, or of all'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "checkConf" -d 'Check the configuration and do nothing else'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "checkconf" -d 'Check the configuration and do nothing else'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "bench" -d 'Measure goosefs on this machine, against a floor taken in the same minutes'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "version" -d 'Print the version'
complete -c goosefs -n "__fish_goosefs_needs_command" -f -a "generate" -d 'Write man pages and completions'
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and not __fish_seen_subcommand_from start" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and not __fish_seen_subcommand_from start" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and not __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and not __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and not __fish_seen_subcommand_from start" -f -a "start" -d 'Run a master in the foreground, until SIGTERM or Ctrl-C'
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and __fish_seen_subcommand_from start" -l name -d 'Which of goosefs.masters this is; found out by host where it is not said' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and __fish_seen_subcommand_from start" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and __fish_seen_subcommand_from start" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand master; and __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and not __fish_seen_subcommand_from start" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and not __fish_seen_subcommand_from start" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and not __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and not __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and not __fish_seen_subcommand_from start" -f -a "start" -d 'Store and serve blocks, in the foreground, until it is told to stop'
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and __fish_seen_subcommand_from start" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and __fish_seen_subcommand_from start" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand worker; and __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -f -a "mount" -d 'Mount a directory of the tree, and return once it can be used'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -f -a "umount" -d 'Unmount a mounted directory, also when the process behind it is dead'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -f -a "unmount" -d 'Unmount a mounted directory, also when the process behind it is dead'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and not __fish_seen_subcommand_from mount umount unmount staged" -f -a "staged" -d 'Files that were changed in a mounted directory and are not published'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from mount" -s o -d 'Mount options, separated by commas' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from mount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from mount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from mount" -s f -l foreground -d 'Stay, and log to standard error'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from mount" -l announce -d 'Say on standard output when the directory can be used'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from mount" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from mount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from umount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from umount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from umount" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from umount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from unmount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from unmount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from unmount" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from unmount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -f -a "ls" -d 'List them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -f -a "publish" -d 'Make one the newest version of its file'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -f -a "export" -d 'Copy the bytes of one to a file of this host'
complete -c goosefs -n "__fish_goosefs_using_subcommand fuse; and __fish_seen_subcommand_from staged" -f -a "drop" -d 'Throw one away'
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and not __fish_seen_subcommand_from start" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and not __fish_seen_subcommand_from start" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and not __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and not __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and not __fish_seen_subcommand_from start" -f -a "start" -d 'Run master, worker and mounted directory until this process is told to stop'
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and __fish_seen_subcommand_from start" -l mount -d 'Directory of this host to mount the tree on' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and __fish_seen_subcommand_from start" -s o -d 'Mount options, as for `goosefs fuse mount`' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and __fish_seen_subcommand_from start" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and __fish_seen_subcommand_from start" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand local; and __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -l option -d 'Option of the under store, such as s3.endpoint=http://127.0.0.1:9000' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -s o -d 'Mount options, as for `goosefs fuse mount`' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -s f -l foreground -d 'Stay, and log to standard error'
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -l announce -d 'Say on standard output when the directory can be used'
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand mount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "cat" -d 'Print the contents of files'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "checksum" -d 'Print the MD5 checksum of files'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "chgrp" -d 'Change the group of files and directories'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "chmod" -d 'Change the permissions of files and directories'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "chown" -d 'Change the owner, and the group, of files and directories'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "copyFromLocal" -d 'Copy files and directories from this machine into the tree'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "put" -d 'Copy files and directories from this machine into the tree'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "copyToLocal" -d 'Copy files and directories from the tree to this machine'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "get" -d 'Copy files and directories from the tree to this machine'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "count" -d 'Count files, directories and bytes'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "cp" -d 'Copy files and directories, within the tree and from or to this machine'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "distributedCp" -d 'Copy files and directories by the workers, also between different under stores'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "distributed-cp" -d 'Copy files and directories by the workers, also between different under stores'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "distributedMv" -d 'Move files and directories by the workers, also between different under stores'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "distributed-mv" -d 'Move files and directories by the workers, also between different under stores'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "du" -d 'Show how much space files take, and how much of them is cached'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "free" -d 'Drop files from the cache; the under store keeps them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "getCapacityBytes" -d 'Print how many bytes the cache can hold'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "getUsedBytes" -d 'Print how many bytes the cache holds'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "head" -d 'Print the beginning of files'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "help" -d 'Print help on a verb'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "leader" -d 'Print the host of the primary master'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "load" -d 'Load files into the cache, on all workers at once'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "loadMetadata" -d 'Bring metadata of the under store into the tree'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "sync" -d 'Bring metadata of the under store into the tree'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "location" -d 'Show which workers hold a file'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "ls" -d 'List files and directories'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "masterInfo" -d 'Say who is primary master, and who stands by'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "masterinfo" -d 'Say who is primary master, and who stands by'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "mkdir" -d 'Make directories, with their parents'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "mount" -d 'Attach an under store to the tree, or list what is attached'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "mv" -d 'Rename a file or directory'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "persist" -d 'Copy files that are only in the cache to the under store'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "pin" -d 'Mark files as ones to keep in the cache'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "rm" -d 'Delete files and directories, in the under store too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "setReplication" -d 'Say how many copies of files the cache holds'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "set-replication" -d 'Say how many copies of files the cache holds'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "setTtl" -d 'Let files and directories expire'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "stat" -d 'Show all that is known of files and directories'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "tail" -d 'Print the end of files'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "test" -d 'Ask something of a path: the exit code is 0 for yes, 1 for no'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "touch" -d 'Make empty files'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "unmount" -d 'Detach an under store from the tree; its data stays where it is'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "umount" -d 'Detach an under store from the tree; its data stays where it is'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "unpin" -d 'Let pinned files be evicted again'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "unsetTtl" -d 'Let files and directories live forever again'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "updateMount" -d 'Change the options of a mount'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and not __fish_seen_subcommand_from cat checksum chgrp chmod chown copyFromLocal put copyToLocal get count cp distributedCp distributed-cp distributedMv distributed-mv du free getCapacityBytes getUsedBytes head help leader load loadMetadata sync location ls masterInfo masterinfo mkdir mount mv persist pin rm setReplication set-replication setTtl stat tail test touch unmount umount unpin unsetTtl updateMount verify" -f -a "verify" -d 'Compare what is cached with its checksums, and with the under store'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cat" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cat" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cat" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cat" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cat" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from checksum" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from checksum" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from checksum" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from checksum" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from checksum" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chgrp" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chgrp" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chgrp" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chgrp" -s R -l recursive -d 'Change all that is below directories too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chgrp" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chgrp" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chmod" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chmod" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chmod" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chmod" -s R -l recursive -d 'Change all that is below directories too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chmod" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chmod" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chown" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chown" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chown" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chown" -s R -l recursive -d 'Change all that is below directories too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chown" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from chown" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -l thread -l threads -d 'Files copied at the same time' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -s R -s r -l recursive -d 'Copy directories with all that is in them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -s f -l overwrite -d 'Replace files that are there already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -s p -l preserve -d 'Keep modification times and, within the tree, owners and groups'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyFromLocal" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -l thread -l threads -d 'Files copied at the same time' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -s R -s r -l recursive -d 'Copy directories with all that is in them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -s f -l overwrite -d 'Replace files that are there already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -s p -l preserve -d 'Keep modification times and, within the tree, owners and groups'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from put" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -l thread -l threads -d 'Files copied at the same time' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -s R -s r -l recursive -d 'Copy directories with all that is in them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -s f -l overwrite -d 'Replace files that are there already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -s p -l preserve -d 'Keep modification times and, within the tree, owners and groups'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from copyToLocal" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -l thread -l threads -d 'Files copied at the same time' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -s R -s r -l recursive -d 'Copy directories with all that is in them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -s f -l overwrite -d 'Replace files that are there already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -s p -l preserve -d 'Keep modification times and, within the tree, owners and groups'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from get" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from count" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from count" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from count" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from count" -s h -l human -d 'Print sizes for people, as in 1.5GB'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from count" -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from count" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -l thread -l threads -d 'Files copied at the same time' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -s R -s r -l recursive -d 'Copy directories with all that is in them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -s f -l overwrite -d 'Replace files that are there already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -s p -l preserve -d 'Keep modification times and, within the tree, owners and groups'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from cp" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l bandwidth -d 'Bytes a second it may move, all workers together, as 100MB' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l overwrite -d 'Replace files at the destination that differ'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -s f -l force -d 'Copy again what is in place: of the same length, and not older'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -l verify -d 'Read every copy back and compare it with its source'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedCp" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l bandwidth -d 'Bytes a second it may move, all workers together, as 100MB' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l overwrite -d 'Replace files at the destination that differ'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -s f -l force -d 'Copy again what is in place: of the same length, and not older'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -l verify -d 'Read every copy back and compare it with its source'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-cp" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -l bandwidth -d 'Bytes a second it may move, all workers together, as 100MB' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -l overwrite -d 'Replace files at the destination that differ'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -s f -l force -d 'Copy again what is in place: of the same length, and not older'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributedMv" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -l bandwidth -d 'Bytes a second it may move, all workers together, as 100MB' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -l overwrite -d 'Replace files at the destination that differ'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -s f -l force -d 'Copy again what is in place: of the same length, and not older'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from distributed-mv" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -s d -l max-depth -d 'Print the sums of directories so far below each path, and of the path' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -s h -l human -d 'Print sizes for people, as in 1.5GB'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -s s -l summarize -d 'Print only the sum of each path'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from du" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -l replicas -d 'Copies of each block that stay; only what there is beyond them is dropped' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -s f -l force -d 'Free pinned files too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from free" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getCapacityBytes" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getCapacityBytes" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getCapacityBytes" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getCapacityBytes" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getCapacityBytes" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getUsedBytes" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getUsedBytes" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getUsedBytes" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getUsedBytes" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from getUsedBytes" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from head" -s c -d 'How much to print' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from head" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from head" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from head" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from head" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from head" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from help" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from help" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from help" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from help" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from help" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from leader" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from leader" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from leader" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from leader" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from leader" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l replicas -l replication -d 'Copies of each block to hold' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l bandwidth -d 'Bytes a second it may move, all workers together, as 100MB' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l metadata-only -d 'Bring only metadata into the tree'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l verify -d 'Read every block again once it is there: its pages against their checksums, its object against the version that was listed'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l atomic -d 'Have everybody see what the under store has now only once all of it is in the cache, and the version before until then; what fails, or is cancelled, leaves that'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l partial-listing -d 'Start before the listing is complete, as a load always does'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from load" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from loadMetadata" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from loadMetadata" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from loadMetadata" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from loadMetadata" -s R -l recursive -d 'Look into directories below too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from loadMetadata" -s F -s f -l force -d 'Look again at what is known already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from loadMetadata" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from loadMetadata" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from sync" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from sync" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from sync" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from sync" -s R -l recursive -d 'Look into directories below too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from sync" -s F -s f -l force -d 'Look again at what is known already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from sync" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from sync" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from location" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from location" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from location" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from location" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from location" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -l sort -d 'Order by this; each directory is then held in memory' -r -f -a "name\t''
path\t''
size\t''
creationTime\t''
lastModificationTime\t''
lastAccessTime\t''
inGooseFSPercentage\t''"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -l timestamp -d 'Which time to print' -r -f -a "createdTime\t''
lastModificationTime\t''
lastAccessTime\t''"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s R -l recursive -d 'List directories below too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s h -l human -d 'Print sizes for people, as in 1.5GB'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s p -l pinned -d 'List only what is pinned, and on which media it is to be'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s d -l directory -d 'List a directory itself, not what is in it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s f -l force -d 'Ask the under store what is there now'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s r -l reverse -d 'Turn the order around'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterInfo" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterInfo" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterInfo" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterInfo" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterInfo" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterinfo" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterinfo" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterinfo" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterinfo" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from masterinfo" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mkdir" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mkdir" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mkdir" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mkdir" -s p -l parents -d 'It is fine when a directory is there already'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mkdir" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mkdir" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -l option -d 'A property for the connector, such as a credential' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -l readonly -l read-only -d 'Refuse writes'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -l shared -d 'Let every user use it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mv" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mv" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mv" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mv" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from mv" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from persist" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from persist" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from persist" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from persist" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from persist" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from persist" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from persist" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from pin" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from pin" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from pin" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from pin" -s R -l recursive -d 'Directories with all that is below, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from pin" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from pin" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -s R -s r -l recursive -d 'Delete directories with all that is in them'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -s U -l unchecked -d 'Do not check first that the under store holds nothing the tree does not know'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -l goosefsOnly -d 'Keep what the under store has'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from rm" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -l min -d 'Copies that are always there; 0 for as it comes' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -l max -d 'Copies at most; -1 for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -s R -l recursive -d 'Directories with all that is below'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setReplication" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -l min -d 'Copies that are always there; 0 for as it comes' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -l max -d 'Copies at most; -1 for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -s R -l recursive -d 'Directories with all that is below'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from set-replication" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setTtl" -l action -d 'What happens at the end: free (from the cache, also what is pinned, once its store has it) or delete (everywhere)' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setTtl" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setTtl" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setTtl" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setTtl" -s R -l recursive -d 'Directories with all that is below, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setTtl" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from setTtl" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from stat" -s f -l format -d 'Print this, with what is known in the place of %-letters' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from stat" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from stat" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from stat" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from stat" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from stat" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from tail" -s c -d 'How much to print' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from tail" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from tail" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from tail" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from tail" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s d -d 'Is it a directory'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s e -d 'Does it exist'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s f -d 'Is it a file'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s s -d 'Is it a directory with something in it, or a file that is not empty'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s z -d 'Is it a file of no bytes'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from touch" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from touch" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from touch" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from touch" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from touch" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unmount" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unmount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unmount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unmount" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unmount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from umount" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from umount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from umount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from umount" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from umount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unpin" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unpin" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unpin" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unpin" -s R -l recursive -d 'Directories with all that is below, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unpin" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unpin" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unsetTtl" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unsetTtl" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unsetTtl" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unsetTtl" -s R -l recursive -d 'Directories with all that is below, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unsetTtl" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from unsetTtl" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -l option -d 'A property for the connector, such as a credential' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -l readonly -l read-only -d 'Refuse writes'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -l shared -d 'Let every user use it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from updateMount" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l bandwidth -d 'Bytes a second it may move, all workers together, as 100MB' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l against-store -d 'Compare with the bytes of the under store too'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l repair -d 'Drop bad copies, so that the next read fills them again'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fs; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "create" -d 'Make a namespace of an under store'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "delete" -d 'Delete namespaces; their data stays where it is'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "ls" -d 'List namespaces'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "stat" -d 'Show namespaces'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "setPolicy" -d 'Set read and write policies'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "policy" -d 'Set read and write policies'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "setTtl" -d 'Let what is in a namespace expire'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "ttl" -d 'Let what is in a namespace expire'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "unsetTtl" -d 'Let what is in a namespace live forever again'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "setLimits" -d 'Bound what a namespace takes of the cache, of the master and of its under store'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "limits" -d 'Bound what a namespace takes of the cache, of the master and of its under store'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and not __fish_seen_subcommand_from create delete ls stat setPolicy policy setTtl ttl unsetTtl setLimits limits update" -f -a "update" -d 'Change how the under store of a namespace is attached'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -s w -l ufs -d 'Address of the under store' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l wPolicy -l write-type -d 'Where writes land, and when' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l rPolicy -l read-type -d 'Whether reads leave a copy' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l cacheQuota -l cache-quota -d 'Bytes of the cluster\'s cache it may take, as in 500GB; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l cachePriority -l cache-priority -d 'How strongly its blocks stay: LOW, NORMAL or HIGH' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l maxRequests -l max-requests -d 'Requests a second that the master takes for it; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l ufsBandwidth -l ufs-bandwidth -d 'Bytes a second between all workers and its under store, as in 100MB; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l option -l attribute -l secret -d 'A property for the connector, such as a credential' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l readonly -l read-only -d 'Refuse writes'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -l shared -d 'Let every user use it'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from delete" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from delete" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from delete" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ls" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ls" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ls" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from stat" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from stat" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from stat" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from stat" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from stat" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setPolicy" -l wPolicy -l write-type -d 'Where writes land, and when' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setPolicy" -l rPolicy -l read-type -d 'Whether reads leave a copy' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setPolicy" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setPolicy" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setPolicy" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setPolicy" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setPolicy" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from policy" -l wPolicy -l write-type -d 'Where writes land, and when' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from policy" -l rPolicy -l read-type -d 'Whether reads leave a copy' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from policy" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from policy" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from policy" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from policy" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from policy" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setTtl" -l action -d 'What happens at the end: free or delete' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setTtl" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setTtl" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setTtl" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setTtl" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setTtl" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ttl" -l action -d 'What happens at the end: free or delete' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ttl" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ttl" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ttl" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ttl" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from ttl" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from unsetTtl" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from unsetTtl" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from unsetTtl" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from unsetTtl" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from unsetTtl" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -l cacheQuota -l cache-quota -d 'Bytes of the cluster\'s cache it may take, as in 500GB; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -l cachePriority -l cache-priority -d 'How strongly its blocks stay: LOW, NORMAL or HIGH' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -l maxRequests -l max-requests -d 'Requests a second that the master takes for it; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -l ufsBandwidth -l ufs-bandwidth -d 'Bytes a second between all workers and its under store, as in 100MB; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from setLimits" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -l cacheQuota -l cache-quota -d 'Bytes of the cluster\'s cache it may take, as in 500GB; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -l cachePriority -l cache-priority -d 'How strongly its blocks stay: LOW, NORMAL or HIGH' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -l maxRequests -l max-requests -d 'Requests a second that the master takes for it; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -l ufsBandwidth -l ufs-bandwidth -d 'Bytes a second between all workers and its under store, as in 100MB; none for no bound' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from limits" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -l option -l attribute -l secret -d 'A property for the connector, such as a credential' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -l readonly -l read-only -d 'Refuse writes'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -l shared -d 'Let every user use it'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand ns; and __fish_seen_subcommand_from update" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l replicas -l replication -d 'Copies of each block to hold' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l bandwidth -d 'Bytes a second it may move, all workers together, as 100MB' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l include -d 'Only files whose path below PATH matches, as \'*.parquet\' or \'day=2026-*/part-*\'; may be given several times' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l exclude -d 'But no files that match, and nothing below directories that do' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l metadata-only -d 'Bring only metadata into the tree'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l verify -d 'Read every block again once it is there: its pages against their checksums, its object against the version that was listed'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l atomic -d 'Have everybody see what the under store has now only once all of it is in the cache, and the version before until then; what fails, or is cancelled, leaves that'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l partial-listing -d 'Start before the listing is complete, as a load always does'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand load" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -f -a "ls" -d 'List the jobs the master remembers'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -f -a "pause" -d 'Stop jobs until they are resumed, also over restarts of the masters'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -f -a "resume" -d 'Have paused jobs go on where they were'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -f -a "retry" -d 'Run jobs that have ended once more, for what failed'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -f -a "stat" -d 'Show a job, with what failed'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and not __fish_seen_subcommand_from ls pause resume retry stat cancel" -f -a "cancel" -d 'End jobs; what they have done stays'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from ls" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from ls" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from ls" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from pause" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from pause" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from pause" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from pause" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from resume" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from resume" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from resume" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from resume" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from retry" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from retry" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from retry" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from retry" -l detach -d 'Submit the job and do not wait for its end'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from retry" -l progress -d 'Follow the job until it ends, as without it'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from retry" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from stat" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from stat" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from stat" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from stat" -s f -l follow -d 'Follow it until it ends; the exit code is 1 when something failed'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from stat" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from stat" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from cancel" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from cancel" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from cancel" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand job; and __fish_seen_subcommand_from cancel" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "report" -d 'Report on the cluster, its capacity, its under stores, its metrics or blocks that move'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "journal" -d 'Look after the journal'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "backup" -d 'Back up the masters\' state'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "decommission" -d 'Have workers give away what they hold, and leave'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "recommission" -d 'Take workers back that were told to leave, or in before they are warm'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "forget-worker" -d 'Forget lost workers for good'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "update-worker" -d 'Change what a worker takes: writes, and its share of blocks'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "migrate" -d 'Move blocks to the workers they belong to'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "persist" -d 'See which files could not be persisted, and have them tried again'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and not __fish_seen_subcommand_from report journal backup decommission recommission forget-worker update-worker migrate persist ratelimit" -f -a "ratelimit" -d 'Show or set the bytes a second between all workers and the under stores'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from report" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from report" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from report" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from report" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from journal" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from journal" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from journal" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from journal" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from journal" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from journal" -f -a "quorum" -d 'See and change which masters keep the journal'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from backup" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from backup" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from backup" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from backup" -l local -d 'The directory is one of the primary\'s host'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from backup" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from decommission" -l timeout -d 'How long to wait; they go on draining after that' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from decommission" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from decommission" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from decommission" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from decommission" -l detach -d 'Do not wait until they have drained'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from decommission" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from decommission" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from recommission" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from recommission" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from recommission" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from recommission" -l warming -d 'All that warm up, as warm as they are'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from recommission" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from recommission" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from forget-worker" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from forget-worker" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from forget-worker" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from forget-worker" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from forget-worker" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from update-worker" -l forbid-write -d 'Whether it takes no new data that is nowhere else' -r -f -a "true\t''
false\t''"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from update-worker" -l virtual-nodes -d 'Points on the ring: more points, more blocks' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from update-worker" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from update-worker" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from update-worker" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from update-worker" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from update-worker" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -f -a "start" -d 'Begin now, or go on after a pause'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -f -a "resume" -d 'Begin now, or go on after a pause'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -f -a "pause" -d 'Hold the migration under way'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -f -a "cancel" -d 'End the migration under way; what has moved has moved'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from migrate" -f -a "status" -d 'Show how far it is'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from persist" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from persist" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from persist" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from persist" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from persist" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from persist" -f -a "ls" -d 'List them, with the last cause'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from persist" -f -a "retry" -d 'Have all of them tried again now'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from ratelimit" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from ratelimit" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from ratelimit" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from ratelimit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand fsadmin; and __fish_seen_subcommand_from ratelimit" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand masterinfo" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand masterinfo" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand masterinfo" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand masterinfo" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand masterinfo" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand format" -l name -d 'Which of goosefs.masters this is; found out by host where it is not said' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand format" -l from-backup -d 'Begin with this backup: the address of an under store, or a file of this host' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand format" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand format" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand format" -s y -l yes -d 'Do not ask'
complete -c goosefs -n "__fish_goosefs_using_subcommand format" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand format" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -l source -d 'Say where each value comes from'
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand getConf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -l source -d 'Say where each value comes from'
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand getconf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkConf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand checkconf" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "cp" -d 'Copy a tree from a slow archive: cold, loaded, and warm'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "elastic" -d 'Three workers become five, and then two, under a steady load of random reads'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "evict" -d 'What eviction policies keep, against a clairvoyant'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "load" -d 'Very many small objects brought into the cache, against rclone'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "metadata" -d 'Stat against a gRPC echo, durable creates against fdatasync'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "scale" -d 'A master with very many files: memory, restart, checkpoints, renames'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "tiers" -d 'What a worker keeps of more than its memory holds, and what a scan costs it'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "ufs" -d 'Cold reads through a worker, against the store itself'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "worker" -d 'A block read and written over gRPC, against sendfile and recv'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "start" -d 'Start-up time and idle memory of each role'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "fuse" -d 'A mounted directory against tmpfs and an empty FUSE; takes root'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "empty-fuse" -d 'A file system that does nothing; the floor of `fuse`, in a process of its own'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and not __fish_seen_subcommand_from cp elastic evict load metadata scale tiers ufs worker start fuse empty-fuse echo-server" -f -a "echo-server" -d 'Echo calls for ever; the floor of `metadata`, in a process of its own'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -l ufs -d 'An under store to copy from, instead of files of this machine behind a slow line' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -l option -d 'A property of that under store' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -l size -d 'Size of the tree' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -l rate -d 'What the line lets through in a second' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -l rounds -d 'Warm copies' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from cp" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from elastic" -l files -d 'Files of 256 KiB in the data set' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from elastic" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from elastic" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from elastic" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from elastic" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from elastic" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from elastic" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -l trace -d 'A recorded trace: a line "id size" for each access, as goosefs.worker.trace.file has it' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -l capacity -d 'What the cache holds [default: what the recording worker does, or a tenth of what is asked for]' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -l accesses -d 'Accesses of a made-up trace' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from evict" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -l files -d 'Objects' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -l length -d 'Bytes of each' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from load" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from metadata" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from metadata" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from metadata" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from metadata" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from metadata" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from metadata" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from scale" -l files -d 'Files to make; some 150 bytes of the disk each' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from scale" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from scale" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from scale" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from scale" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from scale" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from scale" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from tiers" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from tiers" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from tiers" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from tiers" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from tiers" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from tiers" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -l ufs -d 'An under store to read from; objects are written there, and removed again' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -l option -d 'A property of that under store' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -l size -d 'Size of each of the six objects' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -l link -d 'Bytes a second between cache and store in the second run of the store in memory' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from ufs" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from worker" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from worker" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from worker" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from worker" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from worker" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from worker" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from start" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from start" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from start" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from start" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from fuse" -l dir -d 'Directory on the disk to measure; what is written there goes again' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from fuse" -s o -l output -d 'Format of listings: table or json [default: table]' -r -f -a "table\t'Lines and tables, for people'
json\t'JSON, for programs'"
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from fuse" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from fuse" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from fuse" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from fuse" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from empty-fuse" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from empty-fuse" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from empty-fuse" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from empty-fuse" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from echo-server" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from echo-server" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from echo-server" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand bench; and __fish_seen_subcommand_from echo-server" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand version" -s V -l version -d 'Print version'
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -l config -d 'Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]' -r -F
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -s D -d 'Set a property, as in -D goosefs.master.rpc.port=9300' -r
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -s h -l help -d 'Print help'
complete -c goosefs -n "__fish_goosefs_using_subcommand generate" -s V -l version -d 'Print version'
