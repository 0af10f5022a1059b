# Completion of botticelli in bash 4 and newer: eval "$(botticelli completion bash)"
_botticelli() {
    local typed=${COMP_LINE:0:COMP_POINT} words line
    read -ra words <<< "$typed"
    [[ $typed == *[[:space:]] ]] && words+=("")
    COMPREPLY=()
    while IFS= read -r line; do
        [[ -n $line ]] && COMPREPLY+=("${line%%$'\t'*}")
    done < <(_BOTTICELLI_COMPLETE=bash "${words[0]/#\~/$HOME}" "${words[@]:1}" 2>/dev/null)
    # readline replaces only what stands behind the last colon or equals sign
    local word=${words[-1]}
    local kept=${word%"${word##*[:=]}"}
    [[ -n $kept ]] && COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    return 0
}
complete -o bashdefault -o default -F _botticelli botticelli
