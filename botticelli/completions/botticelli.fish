# Completion of botticelli in fish: botticelli completion fish | source
function __botticelli_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (_BOTTICELLI_COMPLETE=fish $words 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c botticelli -f -a '(__botticelli_complete)'
